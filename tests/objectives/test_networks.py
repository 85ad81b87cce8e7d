"""Networks unlike the built-in ones go through every stage, and their files answer as they do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from toys import FewDigits, toy_context, toy_plan

from models.data_source import DataSource
from models.inputs import Given, ask, by_name
from models.loaders import LoaderData
from models.registry import ModelSpec
from objectives.artifact.energy import estimate_energy_uj
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import count_weights
from objectives.artifact.restore import restore_weights
from objectives.cache.stage_cache import StageCache
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.pipeline import Pipeline
from objectives.stages.base import Stage, Tuning
from objectives.stages.binary import BinaryWeights
from objectives.stages.channels import ChannelRemoval
from objectives.stages.differentiable import DifferentiableQuantization
from objectives.stages.factorize import Factorization
from objectives.stages.fixed_point import FixedPoint
from objectives.stages.power_of_two import PowerOfTwo
from objectives.stages.product import ProductQuantization
from objectives.training.activations import attach_activations_


class Residual(nn.Module):
    """A residual block, a depthwise convolution, batch norms, global pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.first = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.pointwise = nn.Conv2d(8, 16, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(16, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.stem(pixels)
        features = torch.relu(features + self.first(features))
        features = self.pointwise(self.depthwise(features))
        return self.head(self.pool(features).flatten(1))


class Attention(nn.Module):
    """Rows of an image as a sequence: dense layers on three axes, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(28, 16)
        self.query_key = nn.Linear(16, 16)
        self.value = nn.Linear(16, 16, bias=False)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        rows = self.embed(pixels.squeeze(1))
        query, key = self.query_key(rows), self.query_key(self.norm(rows))
        weights = (query @ key.transpose(1, 2) / 4).softmax(-1)
        return self.head((rows + weights @ self.value(rows)).mean(1))


class Convolutions1And3(nn.Module):
    """A convolution over rows, then one over a volume of them."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv1d(28, 6, 3)
        self.three = nn.Conv3d(1, 4, (1, 2, 3), stride=(1, 1, 2))
        self.dense = nn.Linear(4 * 3 * 12, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        rows = torch.relu(self.one(pixels.squeeze(1)))  # (N, 6, 26)
        volume = torch.relu(self.three(rows.view(-1, 1, 3, 2, 26)))  # (N, 4, 3, 1, 12)
        return self.dense(volume.flatten(1))


class OwnTraining(LightningModule):
    """A user's module with its own loss and optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU())
        self.head = nn.Linear(20, 10)
        self.steps = 0

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.body(pixels))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        inputs, labels = batch
        self.steps += 1
        return nn.functional.multi_margin_loss(self(inputs), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Words(LightningDataModule):
    """Eight word numbers a text; its class is that of its largest one."""

    def setup(self, stage: str) -> None:
        texts = torch.randint(0, 30, (400, 8), generator=torch.Generator().manual_seed(0))
        self._texts = TensorDataset(texts, texts.amax(1) // 10)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._texts, batch_size=50, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._texts, batch_size=50)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self._texts, batch_size=64)


class BagOfWords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30, 12)
        self.head = nn.Linear(12, 3)

    def forward(self, texts: Tensor) -> Tensor:
        return self.head(self.words(texts).amax(1))


class Described(LightningDataModule):
    """Three numbers and two words; the class is the first word's, shifted by the numbers' sign."""

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        numbers = torch.randn(400, 3, generator=generator)
        words = torch.randint(0, 30, (400, 2), generator=generator)
        kinds = (words[:, 0] + (numbers[:, 0] > 0)) % 3
        self._rows = [
            {"numbers": each, "words": pair, "labels": kind}
            for each, pair, kind in zip(numbers, words, kinds, strict=True)
        ]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._rows, batch_size=50, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._rows, batch_size=50)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self._rows, batch_size=64)


class SeveralInputs(nn.Module):
    """Takes two tensors by name, and returns two."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30, 40)
        self.numbers = nn.Linear(3, 40)
        self.head = nn.Linear(40, 3)

    def forward(self, words: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        hidden = torch.relu(self.numbers(numbers) + self.words(words).amax(1))
        return {"hidden": hidden, "logits": self.head(hidden)}


class SeveralOutputs(nn.Module):
    """Returns what is normalized and what is pooled, beside the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=3)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 4 * 4, 10)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        raw = self.conv(pixels)
        pooled = nn.functional.max_pool2d(self.norm(raw), 2)
        return {"raw": raw, "pooled": pooled, "logits": self.head(pooled.relu().flatten(1))}


NETWORKS = {
    "residual": (Residual, 5),
    "attention": (Attention, 4),
    "convolutions": (Convolutions1And3, 3),
    "own training": (OwnTraining, 2),
    "words": (BagOfWords, 2),
    "several inputs": (SeveralInputs, 3),
    "several outputs": (SeveralOutputs, 2),
}


LOADED = {"words": Words, "several inputs": Described}

UNTRAINED = Tuning(epochs=1, qat_epochs=0, batch_size=128, lr=1e-3)
FIXED_POINT = FixedPoint.start(UNTRAINED)
REPRESENTED = [
    replace(ProductQuantization.start(UNTRAINED), first_convolution=True),
    FIXED_POINT,
    replace(FIXED_POINT, bits=32, input_bits=32),
    replace(FIXED_POINT, bits=16, input_bits=16),
    replace(FIXED_POINT, bits=4, input_bits=4),
    PowerOfTwo.start(UNTRAINED),
    BinaryWeights.start(UNTRAINED),
    DifferentiableQuantization.start(UNTRAINED),
]


def a_context(name: str, digits: FewDigits) -> Context:
    data: DataSource = digits
    if name in LOADED:
        data = LoaderData(LOADED[name]())
        data.setup()
    build = NETWORKS[name][0]
    return toy_context(data, model=ModelSpec(build=lambda *_: build(), data="own"))


def fed(network: nn.Module, inputs: Given) -> dict[str, np.ndarray]:
    """What a file of the network is given."""
    return {name: each.numpy() for name, each in by_name(network, inputs).items()}


def answers(content: bytes, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The logits of a file, computed as it says, without integer kernels."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], feeds)
    return logits


COMMON = {"epochs": 1, "batch_size": 128, "lr": 1e-3}
FACTORIZATION = Factorization(energy=0.5, **COMMON)
CHANNELS = ChannelRemoval(share=0.5, **COMMON)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, FACTORIZATION) for name in NETWORKS),
        *((name, CHANNELS) for name in ("residual", "attention", "own training")),
    ],
)
def test_the_file_of_another_structure_answers_as_the_network_does(
    name: str, settings: Stage, digits: FewDigits
) -> None:
    context = a_context(name, digits)
    before = NetworkState(weights=copy_weights(context.build_network()))
    state = toy_plan(0.5).get("prune").apply(settings.apply(before, context), context)
    total = sum(context.layer_sizes().values())
    kept = sum(int(mask.sum()) for mask in state.masks.values())
    assert kept < 0.5 * total
    state = toy_plan(0.5, 16).get("quantize").apply(state, context)  # folds, too
    content = export_onnx(state, context)
    counts = count_weights(onnx.load_from_string(content))
    assert sum(nonzero for nonzero, _ in counts.values()) <= kept
    inputs, _ = next(context.data.batches("test"))
    with torch.no_grad():
        expected = ask(context.network_of(state), inputs).numpy()
    logits = answers(content, fed(context.network_of(state), inputs))
    assert np.abs(logits - expected).max() < 1e-3


@pytest.mark.parametrize("name", NETWORKS)
class TestAnyNetwork:
    def test_goes_through_every_stage(self, name: str, digits: FewDigits, tmp_path: Path) -> None:
        context = a_context(name, digits)
        pipeline = Pipeline(context, StageCache(tmp_path / "cache"), tmp_path / "baseline.onnx")
        results = {
            bits: pipeline.run(toy_plan(0.5, bits, epochs=2), tmp_path / f"{bits}.onnx")
            for bits in (32, 16, 8)
        }
        for result in results.values():
            weights = result.measurement.nonzero_weights
            assert len(weights) == NETWORKS[name][1]
            total = sum(count for _, count in weights.values())
            assert result.measurement.measured_sparsity == pytest.approx(0.5, abs=4 / total + 0.03)
        factors = {bits: result.reduction_factor for bits, result in results.items()}
        assert 1 < factors[32] < min(factors[16], factors[8])
        energies = {bits: result.measurement.energy_uj for bits, result in results.items()}
        assert energies[32] > max(energies[16], energies[8]) > 0

    @pytest.mark.parametrize("bits", [32, 16, 8])
    def test_file_answers_as_the_network_does_and_as_its_own_weights_do(
        self, name: str, bits: int, digits: FewDigits
    ) -> None:
        """Compared in the shares of rows that agree: at 8 bits a tie may be rounded either way."""
        context = a_context(name, digits)
        plan = toy_plan(0.5, bits)
        state = plan.train.apply(NetworkState(weights={}), context)
        if bits < 32:
            state = plan.get("quantize").apply(state, context)
        state = context.fold(state)
        content = export_onnx(state, context)
        restored = context.build_network().eval()
        restored.load_state_dict(restore_weights(onnx.load_from_string(content), context))
        inputs, _ = next(context.data.batches("test"))
        logits = answers(content, fed(restored, inputs))
        for network in (context.network_of(state), restored):
            attach_activations_(network, context.values(state), state.activations)
            with torch.no_grad():
                expected = ask(network, inputs).numpy()
            agreeing = np.abs(logits - expected).max(axis=1) < 1e-3
            assert agreeing.mean() >= (0.9 if bits == 8 else 1)

    @pytest.mark.parametrize("settings", REPRESENTED)
    def test_file_of_each_representation_answers_as_the_network_does(
        self, name: str, settings: Stage, digits: FewDigits
    ) -> None:
        """Compared in the shares of rows that agree: a tie may be rounded either way."""
        context = a_context(name, digits)
        before = NetworkState(weights=copy_weights(context.build_network()))
        state = settings.apply(before, context)
        assert state.formats.keys() == context.layers_of(context.build_network()).keys()
        network = context.network_of(state)
        inputs, _ = next(context.data.batches("test"))
        attach_activations_(network, context.values(state), state.activations)
        with torch.no_grad():
            expected = ask(network, inputs).numpy()
        content = export_onnx(state, context)
        model = onnx.load_from_string(content)
        feeds = fed(network, inputs)
        shapes = {input_name: each.shape for input_name, each in feeds.items()}
        assert (estimate_energy_uj(model, shapes) or 0) > 0
        counts = count_weights(model)
        for layer in state.formats:
            weight = state.weights[f"{layer}.weight"]
            assert counts[f"{layer}.weight"] == (int((weight != 0).sum()), weight.numel())
        logits = answers(content, feeds)
        agreeing = np.abs(logits - expected).max(axis=1) < 1e-3
        assert agreeing.mean() >= 0.9


def test_layers_with_equal_weights_stay_two(digits: FewDigits) -> None:
    """Very sparse ones are: the exporter makes one of equal tensors."""

    def build(*_: object) -> nn.Module:
        layers = [nn.Linear(784, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(8, 10))

    context = toy_context(digits, model=ModelSpec(build=build, data="own"))
    weights = copy_weights(context.build_network())
    for layer in ("2.weight", "4.weight", "2.bias", "4.bias"):
        weights[layer] = torch.zeros_like(weights[layer])
    state = (
        toy_plan(0, 8, qat_epochs=0).get("quantize").apply(NetworkState(weights=weights), context)
    )
    for formats in ({}, state.formats):
        content = export_onnx(NetworkState(weights=state.weights, formats=formats), context)
        names = {tensor.name for tensor in onnx.load_from_string(content).graph.initializer}
        assert {f"{layer}.weight" for layer in (1, 2, 4, 5)} <= names


def test_a_layer_that_is_not_called_is_left_out(digits: FewDigits) -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(784, 10), nn.Linear(10, 10)

        def forward(self, pixels: Tensor) -> Tensor:
            return self.used(pixels.flatten(1))

    context = toy_context(digits, model=ModelSpec(build=lambda *_: Idle(), data="own"))
    assert context.layer_sizes() == {"used": 7840}
    state = toy_plan(0, 8, qat_epochs=0).get("quantize").apply(context.untrained(), context)
    assert list(state.formats) == ["used"]
    file = onnx.load_from_string(export_onnx(state, context))
    assert not [each for each in file.graph.initializer if each.name.startswith("idle")]
    assert restore_weights(file, context).keys() == state.weights.keys()


def test_folding_changes_no_answer_and_leaves_no_batch_norm(digits: FewDigits) -> None:
    context = a_context("residual", digits)
    state = toy_plan(epochs=2).train.apply(NetworkState(weights={}), context)
    folded = context.fold(state)
    assert folded.folded
    pixels = digits.training_inputs(50)
    with torch.no_grad():
        before, after = (context.network_of(one)(pixels) for one in (state, folded))
    assert torch.allclose(before, after, atol=1e-5)
    kinds = {type(module) for module in context.network_of(folded).modules()}
    assert nn.BatchNorm2d not in kinds
    graph = onnx.load_from_string(export_onnx(state, context)).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def test_only_chosen_layers_are_compressed(digits: FewDigits) -> None:
    context = toy_context(digits, layers=("dense",))
    state = NetworkState(weights=copy_weights(context.build_network()))
    for settings in (toy_plan(0.9).get("prune"), toy_plan(0.9, 8).get("quantize")):
        state = settings.apply(state, context)
    assert list(state.masks) == list(state.formats) == ["dense"]
    assert int((state.weights["conv.weight"] == 0).sum()) == 0


def test_own_training_steps_are_used(digits: FewDigits) -> None:
    context = a_context("own training", digits)
    seen: list[OwnTraining] = []

    def build(*_: object) -> OwnTraining:
        seen.append(OwnTraining())
        return seen[-1]

    context = toy_context(digits, model=ModelSpec(build=build, data="own"))
    state = toy_plan(epochs=3).train.apply(NetworkState(weights={}), context)
    assert max(module.steps for module in seen) == 3 * 4  # 420 images in batches of 128
    # SGD without momentum keeps nothing: the checkpoint is the weights alone
    raw = sum(weight.nbytes for weight in state.weights.values())
    assert state.checkpoint_bytes is not None
    assert state.checkpoint_bytes < 1.1 * raw

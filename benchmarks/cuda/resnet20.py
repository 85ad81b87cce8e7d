"""ResNet-20 on CIFAR-10, trained as well as its authors do: weights for later work.

On the training part of our split, 35,000 images, so that a search which begins with these weights
is validated on images that they have not seen. What is reported is the last epoch: nothing is
chosen by any accuracy.

Source: He et al. 2015, 4.2 (SGD with momentum 0.9, weight decay 1e-4, batches of 128, crops and
flips), the learning rate falling as a half cosine (Loshchilov & Hutter 2017).
"""

from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from benchmarks.cuda.sitting import Sitting
from models.data_source import DataOptions, Part
from models.images import ImageData
from models.registry import MODELS
from models.resolve import resolve_data
from objectives.context import Context
from objectives.files import write_atomically

EPOCHS = 100
BATCH = 128
LR = 0.1
"""At the beginning."""
TOLD = 5
"""Epochs between two rows."""
RESERVE_SECONDS = 10


def run(sitting: Sitting) -> None:
    """Train, and keep the weights; a row for each few epochs."""
    data = _data(sitting)
    data.setup()
    if sitting.on_gpu:
        data.place(sitting.device)
    context = Context(model=MODELS.get("resnet20"), data=data, seed=0)
    network = context.build_network().to(sitting.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    epochs = 1 if sitting.smoke else EPOCHS
    optimizer = torch.optim.SGD(
        network.parameters(), lr=LR, momentum=0.9, weight_decay=1e-4, nesterov=True
    )
    steps = epochs * data.steps_per_epoch(BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    torch.manual_seed(0)
    for epoch in range(1, epochs + 1):
        seconds = sitting.seconds(lambda: _train_epoch(network, data, optimizer, schedule))
        if epoch % TOLD == 0 or epoch in {1, epochs}:
            sitting.row(
                "resnet20",
                epoch=epoch,
                of=epochs,
                seconds_of_an_epoch=round(seconds, 3),
                validation_pct=_accuracy_pct(network, data, "validation"),
                test_pct=_accuracy_pct(network, data, "test"),
            )
            _keep(network, sitting.out / "resnet20.safetensors")
        if sitting.seconds_left < RESERVE_SECONDS + seconds and not sitting.smoke:
            sitting.row("resnet20", ended_early=epoch)
            return


def _data(sitting: Sitting) -> ImageData:
    options = DataOptions(root=Path("data"))
    if sitting.smoke:
        options = DataOptions(train_fraction=0.1, test_fraction=0.1)
    data = resolve_data("mnist5k" if sitting.smoke else sitting.data, options)
    assert isinstance(data, ImageData)
    return data


def _train_epoch(
    network: nn.Module,
    data: ImageData,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    network.train()
    device = next(network.parameters()).device
    for index in torch.randperm(len(data.train)).split(BATCH):
        images, labels = data.train[index]
        inputs = data.prepare(images, augment=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = functional.cross_entropy(network(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def _accuracy_pct(network: nn.Module, data: ImageData, part: Part) -> float:
    network.eval()
    device = next(network.parameters()).device
    right = total = 0
    for inputs, labels in data.batches(part):
        right += int((network(inputs.to(device)).argmax(1).cpu() == labels).sum())
        total += len(labels)
    return round(100 * right / total, 2)


def _keep(network: nn.Module, file: Path) -> None:
    tensors = {name: each.cpu().contiguous() for name, each in network.state_dict().items()}
    write_atomically(file, save(tensors))

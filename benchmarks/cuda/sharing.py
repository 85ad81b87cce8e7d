"""Small networks on a large device: epochs/s alone, shared, captured, compiled and stacked.

An epoch is 42,000 images in batches of the model's size. `alone` is
`objectives.training.loop.train_` in one process, `shared` so many processes that do the same at
once (epochs/s of all together), and the others are plain loops of one step: as Python gives it,
compiled by TorchInductor, captured as a CUDA graph, and of so many networks stacked into one by
`torch.func.vmap`. Each is timed until `SECONDS` have gone, after a first time that prepares it.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

from benchmarks.cuda.sitting import Sitting
from benchmarks.training import CASES, RandomImages
from models.errors import first_line
from models.registry import MODELS, ModelSpec
from objectives.context import Context
from objectives.training.loop import train_

NETWORKS = ("cnn", "lenet300", "lenet5")
SHARED = (2, 4, 8)
STACKED = (4, 16, 64)
SECONDS = 4.0
FEWEST_SECONDS_LEFT = 45

Step = Callable[[Tensor, Tensor], object]


def run(sitting: Sitting) -> None:
    """Write a row for each network and way."""
    for name in NETWORKS[:1] if sitting.smoke else NETWORKS:
        _measure(sitting, name)


def _measure(sitting: Sitting, name: str) -> None:
    context, batch = prepared(sitting, name)
    ways: dict[str, Callable[[], float]] = {
        "alone": partial(epochs_per_second, sitting, context, batch),
        "plain step": lambda: _rate(sitting, context, batch, plain_step(sitting, context)),
        "compiled step": lambda: _rate(
            sitting, context, batch, plain_step(sitting, context, compiled=True)
        ),
    }
    if sitting.on_gpu:
        ways["CUDA graph"] = lambda: _rate(
            sitting, context, batch, captured_step(sitting, context, batch)
        )
    for count in STACKED[:1] if sitting.smoke else STACKED:
        ways[f"{count} stacked"] = partial(_stacked_rate, sitting, context, batch, count)
    for count in SHARED[:1] if sitting.smoke else SHARED:
        ways[f"{count} sharing"] = partial(shared_rate, sitting, name, count)
    for way, measure in ways.items():
        if sitting.seconds_left < FEWEST_SECONDS_LEFT and not sitting.smoke:
            sitting.row("sharing", network=name, way=way, left_out="no time was left")
            continue
        try:
            rate = measure()
        except Exception as err:  # of whatever a compiler or a driver does not like
            told = f"{type(err).__name__}: {first_line(err)}"
            sitting.row("sharing", network=name, way=way, failed=told[:300])
            continue
        peak = sitting.peak_mb()
        sitting.row("sharing", network=name, way=way, epochs_per_s=round(rate, 4), peak_mb=peak)


def prepared(sitting: Sitting, name: str) -> tuple[Context, int]:
    """Return a network with random images on the device, and its batch size."""
    case = CASES[name]
    if sitting.smoke:
        case = case._replace(images=256)
    data = RandomImages(case)
    if sitting.on_gpu:
        data.place(sitting.device)
    spec: ModelSpec = MODELS.get(name)
    context = Context(model=spec, data=data, seed=0, accelerator=sitting.accelerator)
    return context, spec.batch_size


def epochs_per_second(sitting: Sitting, context: Context, batch: int) -> float:
    """Return how many epochs of `train_` take a second, beyond what its start takes."""

    def seconds(epochs: int) -> float:
        network = context.build_network()
        return sitting.seconds(
            lambda: train_(
                network, context, stage="train", epochs=epochs, batch_size=batch, lr=1e-3
            )
        )

    seconds(1)
    few, more = (1, 2) if sitting.smoke else (1, 9)
    return (more - few) / max(seconds(more) - seconds(few), 1e-9)


def shared_rate(sitting: Sitting, name: str, count: int) -> float:
    """Return the epochs/s of so many processes together, each alone with its own data."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(count, mp_context=spawn) as processes:
        ready = manager.Barrier(count)
        futures = [processes.submit(_trained, sitting, name, ready) for _ in range(count)]
        return sum(future.result() for future in futures)


def _trained(sitting: Sitting, name: str, ready: threading.Barrier) -> float:
    """Train in a process of its own, as soon as all others can, too."""
    torch.set_num_threads(1)
    context, batch = prepared(sitting, name)
    train = partial(train_, context=context, stage="train", batch_size=batch, lr=1e-3)
    train(context.build_network(), epochs=1)
    ready.wait(timeout=120)
    epochs = 1 if sitting.smoke else 8
    return epochs / sitting.seconds(lambda: train(context.build_network(), epochs=epochs))


def plain_step(sitting: Sitting, context: Context, *, compiled: bool = False) -> Step:
    """Return a step of a plain loop, in bfloat16; its passes may be compiled."""
    network = context.build_network().train().to(sitting.device)
    optimizer = torch.optim.Adam(
        network.parameters(), lr=1e-3, fused=True, capturable=sitting.on_gpu
    )
    run: Callable[[Tensor], Tensor] = torch.compile(network) if compiled else network

    def step(inputs: Tensor, labels: Tensor) -> object:
        with torch.autocast(sitting.device.type, torch.bfloat16):
            loss = functional.cross_entropy(run(inputs), labels)
        optimizer.zero_grad(set_to_none=False)  # a captured graph needs them where they are
        loss.backward()
        optimizer.step()
        return loss

    return step


def captured_step(sitting: Sitting, context: Context, batch: int) -> Step:
    """Return a plain step as a CUDA graph, which the device runs without Python.

    Source: "Accelerating PyTorch with CUDA Graphs", PyTorch 2021, whole-network capture.
    """
    step = plain_step(sitting, context)
    data = context.data
    assert isinstance(data, RandomImages)
    images, labels = data.train[torch.arange(batch)]
    inputs = data.prepare(images, augment=False)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step(inputs, labels)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(inputs, labels)

    def replay(given: Tensor, given_labels: Tensor) -> object:
        if len(given) == batch:  # the last batch may be smaller: it is left out
            inputs.copy_(given)
            labels.copy_(given_labels)
            graph.replay()
        return None

    return replay


def stacked_step(sitting: Sitting, context: Context, count: int) -> Step:
    """Return a step of so many networks at once, which all see the same images."""
    networks = [context.build_network().train().to(sitting.device) for _ in range(count)]
    parameters, buffers = stack_module_state(networks)
    one = networks[0]
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-3, fused=True)

    def loss_of(
        values: dict[str, Tensor], held: dict[str, Tensor], inputs: Tensor, labels: Tensor
    ) -> Tensor:
        logits = functional_call(one, (values, held), (inputs,))
        return functional.cross_entropy(logits, labels)

    gradients = vmap(grad(loss_of), in_dims=(0, 0, None, None), randomness="different")

    def step(inputs: Tensor, labels: Tensor) -> object:
        with torch.autocast(sitting.device.type, torch.bfloat16):
            found = gradients(parameters, buffers, inputs, labels)
        for name, value in parameters.items():
            value.grad = found[name]
        optimizer.step()
        return None

    return step


def _stacked_rate(sitting: Sitting, context: Context, batch: int, count: int) -> float:
    return count * _rate(sitting, context, batch, stacked_step(sitting, context, count))


def _rate(sitting: Sitting, context: Context, batch: int, step: Step) -> float:
    """Return the epochs/s of a loop of `step` over whole epochs, or as much as time allows."""
    data = context.data
    assert isinstance(data, RandomImages)

    def steps(most: float) -> int:
        """Return the images that were trained with."""
        done, began = 0, time.perf_counter()
        while True:
            for index in torch.randperm(len(data.train)).split(batch):
                images, labels = data.train[index]
                step(data.prepare(images, augment=False), labels)
                done += len(index)
                if time.perf_counter() - began > most:
                    return done

    most = 0.2 if sitting.smoke else SECONDS
    steps(0)
    steps(most / 4)
    images = 0

    def timed() -> None:
        nonlocal images
        images = steps(most)

    taken = sitting.seconds(timed)
    return images / len(data.train) / taken

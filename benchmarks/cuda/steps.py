"""AlexNet's training step at 227: images/s by batch size, and where the time goes.

Images lie in device memory as uint8, 32 x 32, and are augmented and enlarged there, step by step,
as a trial does it. `bare` is a plain loop, `trained` is `objectives.training.loop.train_`.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cuda.sitting import Sitting
from benchmarks.training import Case, RandomImages
from models.data_source import DataOptions
from models.registry import MODELS
from objectives.context import Context
from objectives.training.loop import train_

BATCHES = (64, 128, 256, 512, 1024, 2048)
STEPS = 20
PROFILED = (128, 1024)
"""Batch sizes."""
SHOWN = 12
"""Operations."""


def run(sitting: Sitting) -> None:
    """Write a row for each batch size, and one for each operation that takes long."""
    rate = sitting.matrix_tflops()
    name = torch.cuda.get_device_name() if sitting.on_gpu else "cpu"
    sitting.row("device", name=name, torch=torch.__version__, matrix_tflops=round(rate, 1))
    for batch in (128,) if sitting.smoke else BATCHES:
        if sitting.seconds_left < 60 and not sitting.smoke:
            return
        try:
            _measure(sitting, batch, rate)
        except torch.cuda.OutOfMemoryError:
            sitting.row("steps", batch=batch, failed="out of memory")
            torch.cuda.empty_cache()


def alexnet_context(sitting: Sitting, images: int) -> Context:
    """Return AlexNet, in a smoke the CNN, on random images that lie on the device."""
    case, size = Case("alexnet", (3, 32, 32), images, images), 227
    if sitting.smoke:
        case, size = Case("cnn", (1, 28, 28), images, images), 28
    data = RandomImages(case, DataOptions(input_size=size, augment="crop-flip"))
    if sitting.on_gpu:
        data.place(sitting.device)
    spec = replace(MODELS.get(case.model), normalize=False)  # random images have no mean
    return Context(model=spec, data=data, seed=0, accelerator=sitting.accelerator)


def bare_steps(sitting: Sitting, context: Context, batch: int) -> Callable[[], None]:
    """Return what takes all steps of an epoch in a plain loop."""
    data = context.data
    assert isinstance(data, RandomImages)
    network = context.build_network().train().to(sitting.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def steps() -> None:
        for index in torch.randperm(len(data.train)).split(batch):
            images, labels = data.train[index]
            inputs = data.prepare(images, augment=True)
            with torch.autocast(sitting.device.type, torch.bfloat16):
                loss = functional.cross_entropy(network(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return steps


def images_per_second(sitting: Sitting, context: Context, batch: int) -> float:
    """Return how many images an epoch of `train_` trains with in a second."""
    count = context.data.sizes()["train"]
    network = context.build_network()

    def train() -> None:
        train_(network, context, stage="train", epochs=1, batch_size=batch, lr=1e-4)

    return count / sitting.seconds(train)


def _measure(sitting: Sitting, batch: int, rate: float) -> None:
    steps = 2 if sitting.smoke else STEPS
    context = alexnet_context(sitting, steps * batch)
    bare = bare_steps(sitting, context, batch)
    bare()  # prepares kernels and memory
    sitting.peak_mb()
    seconds = sitting.seconds(bare)
    peak = sitting.peak_mb()
    achieved = _flops_of_an_image(context) * steps * batch / seconds / 1e12
    images_per_second(sitting, context, batch)
    trained = images_per_second(sitting, context, batch)
    sitting.row(
        "steps",
        batch=batch,
        ms_of_a_step=round(1000 * seconds / steps, 3),
        bare_images_per_s=round(steps * batch / seconds, 1),
        trained_images_per_s=round(trained, 1),
        tflops=round(achieved, 2),
        share_of_matrix_rate=round(achieved / rate, 4),
        peak_mb=peak,
    )
    if batch in PROFILED or sitting.smoke:
        _profile(sitting, batch, bare)


def _flops_of_an_image(context: Context) -> float:
    """Return the operations of one image forward and backward, multiply and add counted as two."""
    network = context.build_network().train()
    with FlopCounterMode(display=False) as counter:
        network(context.data.training_inputs(2)).sum().backward()
    return float(counter.get_total_flops()) / 2


def _profile(sitting: Sitting, batch: int, steps: Callable[[], None]) -> None:
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * sitting.on_gpu
    with profile(activities=activities) as profiled:
        steps()
        sitting.wait()
    name = "self_device_time_total" if sitting.on_gpu else "self_cpu_time_total"
    taken = {each.key: float(getattr(each, name)) for each in profiled.key_averages()}
    total = sum(taken.values())
    for operation, microseconds in sorted(taken.items(), key=lambda each: -each[1])[:SHOWN]:
        share = round(microseconds / max(total, 1e-9), 4)
        sitting.row("profile", batch=batch, operation=operation[:120], share=share)

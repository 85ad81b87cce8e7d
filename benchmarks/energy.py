"""What the energy estimate saves by precision: `python -m benchmarks.energy [NETWORK]`.

Files of a network with random weights, in the formats that Hashemi et al. 2017 (arXiv:1612.03940)
measured on an accelerator of theirs, and what `objectives.artifact.energy` says of each: in all,
and as savings against float32 of all, of all but DRAM, and of arithmetic alone. Theirs are of
Table IV, for LeNet; `-` is what could not be looked up.

No ONNX file has inputs of 32 bits: (32, 32) is the file of 16 bits, each integer counted as 32.
Powers of two and signs multiply the inputs of the fixed-point file of 16 bits.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, numpy_helper
from tabulate import tabulate

from benchmarks.integers import NETWORKS, prepared
from objectives.artifact.energy import Energy, estimate_energy
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.binary import BinaryWeights
from objectives.stages.fixed_point import FixedPoint
from objectives.stages.power_of_two import PowerOfTwo
from objectives.training.masks import apply_masks_, magnitude_masks

THEIRS_PCT = {"float (32, 32)": 0.0, "fixed point (32, 32)": 12.86, "fixed point (8, 8)": 85.41}
"""Savings of Table IV, percent."""

_ROUNDED: dict[str, Any] = {"tuning_epochs": 0, "batch_size": 64, "lr": 1e-3}
FLOATS = "float (32, 32)"


def precisions(
    state: NetworkState, context: Context, tuning: Mapping[str, Any]
) -> Iterator[tuple[str, NetworkState]]:
    """Yield the network in each of their formats that a file can have, (weights, inputs).

    Args:
        state: In floats.
        context: What the stages share.
        tuning: The settings of `TunedAsStored`.
    """

    def fixed_point(bits: int) -> NetworkState:
        return FixedPoint(bits=bits, input_bits=bits, **tuning).apply(state, context)

    sixteen = fixed_point(16)
    yield FLOATS, state
    yield "fixed point (16, 16)", sixteen
    yield "fixed point (8, 8)", fixed_point(8)
    yield "fixed point (4, 4)", fixed_point(4)
    yield "powers of two (6, 16)", PowerOfTwo(bits=6, **tuning).apply(sixteen, context)
    yield "binary (1, 16)", BinaryWeights(**tuning).apply(sixteen, context)


def pruned(state: NetworkState, context: Context) -> NetworkState:
    """Return the network with 90 % of each layer's weights zero, the smallest ones."""
    network = context.network_of(state)
    weights = {name: layer.weight for name, layer in context.layers_of(network).items()}
    masks = magnitude_masks(weights, 0.9, "uniform")
    apply_masks_(weights, masks)
    return replace(state, weights=copy_weights(network), masks=masks)


def widened(model: ModelProto) -> ModelProto:
    """Return the graph with integers of 32 bits instead of 16; no runtime takes it."""
    wide = ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        if tensor.data_type == TensorProto.INT16:
            values = numpy_helper.to_array(tensor).astype(np.int32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return wide


def files(network: str) -> dict[str, ModelProto]:
    """Return a file of each precision, (bits of a weight, bits of an input)."""
    context, state = prepared(network)
    states = dict(precisions(state, context, _ROUNDED))
    eight = FixedPoint(**_ROUNDED)
    states["fixed point (8, 8), 90 % zeros"] = eight.apply(pruned(state, context), context)
    made = {
        name: onnx.load_from_string(export_onnx(each, context)) for name, each in states.items()
    }
    wide = {"fixed point (32, 32)": widened(made["fixed point (16, 16)"])}
    return {FLOATS: made[FLOATS]} | wide | made


def row(name: str, energy: Energy, of_floats: Energy) -> list[str]:
    """Return the table's row of one precision."""

    def saving_pct(each: Energy, floats: Energy) -> float:
        return 100 * (1 - each.total_uj / floats.total_uj)

    theirs = THEIRS_PCT.get(name)
    on_chip = saving_pct(replace(energy, dram_uj=0.0), replace(of_floats, dram_uj=0.0))
    arithmetic = 100 * (1 - energy.arithmetic_uj / of_floats.arithmetic_uj)
    return [
        name,
        f"{energy.total_uj:.2f}",
        f"{saving_pct(energy, of_floats):.1f}",
        f"{on_chip:.1f}",
        f"{arithmetic:.1f}",
        "-" if theirs is None else f"{theirs:.2f}",
        "-" if theirs is None else f"{on_chip - theirs:+.1f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", default="lenet5", choices=list(NETWORKS))
    energies = {}
    for name, model in files(parser.parse_args().network).items():
        energy = estimate_energy(model)
        assert energy is not None
        energies[name] = energy
    of_floats = energies[FLOATS]
    headers = ["weights, inputs", "uJ", "saving %", "without DRAM %", "arithmetic alone %"]
    headers += ["theirs %", "without DRAM - theirs"]
    made = [row(name, energy, of_floats) for name, energy in energies.items()]
    print(tabulate(made, headers, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

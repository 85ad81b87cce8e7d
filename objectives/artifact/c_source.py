"""A network as C11 for microcontrollers: no heap, no interpreter, integers only; made by BakeNN.

Beside its files goes `main.c`, which computes one training input and compares the answer with what
TensorFlow Lite Micro gives, byte by byte:

    gcc -std=c11 -O2 -o check *.c && ./check
"""

import re
from pathlib import Path

import numpy as np

from models.data_source import DataSource
from models.errors import first_line
from objectives.errors import MeasurementError
from objectives.runtimes.tflite_micro import MicroNetwork

NAME, MAIN = "network", "main.c"

_CODE = re.compile(r"builtin operator code (\d+)")
"""In what BakeNN says of an operator that it has not."""

_MAIN = """\
/* Computes one training input; returns 0 if the answer is the one of TensorFlow Lite Micro. */
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include "bknn_network.h"

static const int8_t input[BKNN_NETWORK_INPUT_SIZE] = {{
{inputs}
}};
static const int8_t expected[BKNN_NETWORK_OUTPUT_SIZE] = {{
{outputs}
}};
static alignas(BKNN_NETWORK_ARENA_ALIGNMENT) uint8_t arena[BKNN_NETWORK_ARENA_SIZE + 1];

int main(void) {{
    int8_t output[BKNN_NETWORK_OUTPUT_SIZE];
    bknn_network_infer(BKNN_NETWORK_ARENA_SIZE ? arena : NULL, input, output);
    for (unsigned i = 0; i < BKNN_NETWORK_OUTPUT_SIZE; i++)
        printf("%d\\n", output[i]);
    return memcmp(output, expected, sizeof output) != 0;
}}
"""


def write_c(tflite: Path, folder: Path, data: DataSource) -> list[Path]:
    """Write the C files of a .tflite file that is int8 through and through; return them.

    Args:
        tflite: The file, inputs and outputs int8, too.
        folder: Where they go; it is made.
        data: Set up already; its first training input is what `main.c` computes.

    Raises:
        MeasurementError: The file has floats, or an operator that the C has not.
    """
    import bakenn

    network = MicroNetwork(tflite, data)
    if not network.is_on_integers or len(network.input_names) != 1:
        raise MeasurementError(
            "C is written of networks that are int8 from their one input to their output: take a "
            "trial of 8 bits or fewer, of layers that LiteRT has on integers."
        )
    try:
        bakenn.compile_tflite(str(tflite), folder, name=NAME)
    except bakenn.BakeNNError as err:
        told = _CODE.sub(lambda found: _operator(int(found.group(1))), first_line(err))
        raise MeasurementError(f"BakeNN cannot write it as C: {told}") from err
    inputs, outputs = network.integers(network.feeds(data.training_inputs(1)))
    text = _MAIN.format(inputs=_listed(inputs), outputs=_listed(outputs))
    (folder / MAIN).write_text(text)
    return sorted(folder.iterdir())


def _operator(code: int) -> str:
    """Return the name of LiteRT's operator of that number."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {number: name for name, number in vars(BuiltinOperator).items() if name.isupper()}
    return str(names.get(code, code))


def _listed(values: np.ndarray) -> str:
    """Return integers as C lists them, 16 a line."""
    flat = [str(value) for value in values.reshape(-1).tolist()]
    lines = [", ".join(flat[start : start + 16]) for start in range(0, len(flat), 16)]
    return ",\n".join(f"    {line}" for line in lines)

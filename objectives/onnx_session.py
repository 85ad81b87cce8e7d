"""Open a file or a graph with ONNX Runtime: the one place that knows how."""

from pathlib import Path
from typing import Any, Literal

import torch

from models.errors import first_line
from objectives.errors import MeasurementError

Changed = Literal["default", "no integer fusion", "not at all"]
"""How much ONNX Runtime may change the graph before it runs it: as for any user; without computing
on integers where QuantizeLinear and DequantizeLinear would let it; as it is written."""


def open_session(
    model: Path | bytes, what: str, *, changed: Changed = "default", threads: int | None = None
) -> Any:  # noqa: ANN401 - its package has no types
    """Return a session on the CPU.

    Args:
        model: A file, or its content.
        what: Stands for it in the error.
        changed: See `Changed`.
        threads: Torch's number if None.

    Raises:
        MeasurementError: ONNX Runtime cannot open it.
    """
    import onnxruntime  # here, as it starts a thread, which a forked process would miss

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads() if threads is None else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # an error is told once: by the exception
    if changed == "no integer fusion":
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    elif changed == "not at all":
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # ONNX Runtime's exceptions share no base class
        raise MeasurementError(f"ONNX Runtime cannot open {what}: {first_line(err)}") from err

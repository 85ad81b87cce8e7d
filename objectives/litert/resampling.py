"""Images of other sizes."""

import numpy as np
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.patches import finish_image, give_image, read_image
from objectives.litert.plain import attributes
from objectives.litert.writer import Writer

NEAREST = {
    ("asymmetric", "floor"): {},
    ("half_pixel", "round_prefer_ceil"): {"halfPixelCenters": True},
}
"""Which place is the nearest: how it is counted, how rounded; and LiteRT's options for it."""

LINEAR = {
    "asymmetric": {},
    "half_pixel": {"halfPixelCenters": True},
    "pytorch_half_pixel": {"halfPixelCenters": True},
    "align_corners": {"alignCorners": True},
}


def resize(writer: Writer, node: NodeProto) -> None:
    """An image or rows in another size, by nearest places or bilinear.

    Raises:
        MeasurementError: LiteRT counts no places so.
    """
    told = attributes(node)
    mode, counted, rounded = (
        told.get(name, default).decode()
        for name, default in (
            ("mode", b"nearest"),
            ("coordinate_transformation_mode", b"half_pixel"),
            ("nearest_mode", b"round_prefer_floor"),
        )
    )
    before, after = (writer.plain.shapes[name] for name in (node.input[0], node.output[0]))
    options: dict[str, bool] | None = None
    if mode == "nearest":
        options = NEAREST.get((counted, rounded))
    elif mode == "linear":
        options = LINEAR.get(counted)
    if counted == "pytorch_half_pixel" and 1 in after[2:]:
        options = None
    if len(before) not in {3, 4} or before[:2] != after[:2] or told.get("antialias"):
        options = None
    if options is None:
        raise MeasurementError(
            f"LiteRT's files have no Resize that is {mode}, {counted}, {rounded}: nearest is "
            "asymmetric and floor, linear is half_pixel, align_corners or asymmetric."
        )
    _require_exact(writer, node, before, after)
    floats = not writer.on_integers
    reads = read_image(writer, node, floats=floats, own_scale=False)
    written, made = give_image(writer, node.output[0], floats=floats)
    size = writer.builder.constant(np.array(writer.builder.shape(written)[1:3], np.int32))
    name, kind = ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")
    if mode == "linear":
        name, kind = ("RESIZE_BILINEAR", "ResizeBilinearOptions")
    writer.builder.operator(name, [reads, size], [written], kind=kind, **options)
    finish_image(writer, written, made)


def _require_exact(
    writer: Writer, node: NodeProto, before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    """Raise `MeasurementError` unless the sizes say by how much it is larger."""
    if len(node.input) < 3 or not node.input[2]:
        return
    held = writer.constant(node.input[2])
    if held is None:
        raise MeasurementError("LiteRT's files have a Resize by fixed factors only.")
    factors = held.values.reshape(-1)
    if len(factors) and any(
        abs(side * factor - given) > 1e-3
        for side, factor, given in zip(before, factors, after, strict=True)
    ):
        raise MeasurementError("LiteRT's files have a Resize to whole sizes only.")

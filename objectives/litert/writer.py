"""A .tflite file that is being written: which tensor each value of ours is, as it is read.

A value may be needed as int8 and as floats, with channels last and as our file has it, and in
another scale: what leads from one to the other is written where it is first asked for.
"""

import numpy as np
from onnx import NodeProto, TensorProto, helper

from objectives.errors import MeasurementError
from objectives.litert.builder import Builder
from objectives.litert.layouts import FIRST, LAST, channels_last, last
from objectives.litert.plain import Constant, Plain, Scale


class Writer:
    """A .tflite file that is being written, value by value in the order of computing."""

    def __init__(self, graph: Plain, *, small_integers: bool = False) -> None:
        self.plain = graph
        self.small_integers = small_integers
        """Whether weights that four bits hold take four bits."""
        self.builder = Builder()
        self.images = channels_last(graph)
        self.on_integers = bool(graph.scales)
        self.readers: dict[str, list[NodeProto]] = {}
        for node in graph.nodes:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)
        self.renamed: dict[str, str] = {}
        """Values that another one is already, as what an activation gives that was fused."""
        self.flattened: dict[str, tuple[int, ...]] = {}
        """Values that were flattened with channels last, and the (C, H, W) of each."""
        self._tensors: dict[tuple[object, ...], int] = {}

    def constant(self, name: str) -> Constant | None:
        """Return a number that the file holds; None of what is computed, or left out."""
        return self.plain.constants.get(name)

    def fixed(self, node: NodeProto, place: int, what: str) -> np.ndarray | None:
        """Return an input of a node that the file holds, None of one that is left out.

        Raises:
            MeasurementError: It is computed; `what` says how LiteRT's files have the operator.
        """
        if len(node.input) <= place or not node.input[place]:
            return None
        held = self.constant(node.input[place])
        if held is None:
            raise MeasurementError(f"LiteRT's files have a {node.op_type} {what} only.")
        return held.values

    def shape(self, name: str, *, images: bool | None = None) -> tuple[int, ...]:
        """Return the shape of a value, with channels last if it is an image, or as it is asked."""
        shape = self.plain.shapes[name]
        if name in self.images if images is None else images:
            return tuple(shape[axis] for axis in LAST[len(shape)])
        return shape

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return the shape that a value or a constant has in our file."""
        held = self.constant(name)
        return self.plain.shapes[name] if held is None else held.values.shape

    def rank(self, name: str) -> int:
        """Return how many axes a value or a constant has."""
        return len(self.shape_of(name))

    def scale(self, name: str) -> Scale | None:
        """Return the scale of a value where it is int8; None where all are floats."""
        return self.plain.scales.get(self.renamed.get(name, name)) if self.on_integers else None

    def needs_floats(self, *names: str) -> bool:
        """Return whether one of these values, or all, are computed as floats only."""
        return not self.on_integers or any(
            self.renamed.get(name, name) not in self.plain.scales
            for name in names
            if name and name not in self.plain.constants
        )

    def axis(self, name: str, axis: int) -> int:
        """Return where an axis of ONNX's is of a value."""
        axis %= len(self.plain.shapes[name])
        rank = len(self.plain.shapes[name])
        return LAST[rank].index(axis) if name in self.images else axis

    def add(self, name: str, *, floats: bool, images: bool | None = None) -> int:
        """Add the tensor of a value that is computed; return its number.

        Args:
            name: Of the value.
            floats: Whether as floats; else as int8 where it has a scale.
            images: Whether with channels last; None is as planned.
        """
        if images is not None:
            (self.images.add if images else self.images.discard)(name)
        integers = self.on_integers and not floats and name in self.plain.scales
        scale = self.plain.scales[name] if integers else None
        dtype = helper.tensor_dtype_to_np_dtype(self.plain.types.get(name, TensorProto.FLOAT))
        if integers:
            dtype = np.dtype(np.int8)
        number = self.builder.tensor(self.shape(name), dtype, scale, name=name)
        self._tensors[name, integers, name in self.images, None] = number
        return number

    def read(
        self,
        name: str,
        *,
        floats: bool,
        images: bool | None = None,
        scale: Scale | None = None,
        rank: int | None = None,
    ) -> int:
        """Return the number of the tensor of a value, after what it takes to have it so.

        Args:
            name: Of the value, or of a constant.
            floats: Whether as floats; else as int8 where it has a scale.
            images: Whether with channels last; None is as it was computed.
            scale: As which int8, if not as its own.
            rank: How many axes what it is computed with has; None is as many.
        """
        name = self.renamed.get(name, name)
        if name in self.plain.constants:
            return self._held(name, floats=floats, images=bool(images), scale=scale, rank=rank)
        if images and rank is not None and rank != self.rank(name):
            before = self.read(name, floats=floats, images=False, scale=scale)
            shape = (1,) * (rank - self.rank(name)) + self.plain.shapes[name]
            return self.builder.transpose(self.builder.reshape(before, shape), LAST[rank])
        was_image = name in self.images
        images = was_image if images is None else images
        integers = self.on_integers and not floats and name in self.plain.scales
        own = self.plain.scales.get(name)
        if scale is not None and own is not None and own.key == scale.key:
            scale = None
        key = (name, integers, images, None if scale is None else scale.key)
        if key in self._tensors:
            return self._tensors[key]
        if scale is not None:
            is_float = (name, True, was_image, None) not in self._tensors
            before = self.read(name, floats=is_float, images=images)
            number = self.builder.tensor(self.shape(name, images=images), np.int8, scale)
            self.builder.operator("QUANTIZE", [before], [number], kind="QuantizeOptions")
        elif images != was_image:
            before = self.read(name, floats=floats, images=was_image)
            order = (LAST if images else FIRST)[self.rank(name)]
            number = self._another(name, integers=integers, images=images)
            self.builder.transpose(before, order, number)
        else:
            before = self._tensors[name, not integers, images, None]
            number = self._another(name, integers=integers, images=images)
            kind = "Quantize" if integers else "Dequantize"
            self.builder.operator(kind.upper(), [before], [number], kind=f"{kind}Options")
        self._tensors[key] = number
        return number

    def _another(self, name: str, *, integers: bool, images: bool) -> int:
        scale = self.plain.scales[name] if integers else None
        dtype = np.int8 if integers else helper.tensor_dtype_to_np_dtype(self.plain.types[name])
        return self.builder.tensor(self.shape(name, images=images), dtype, scale, name=name)

    def _held(
        self, name: str, *, floats: bool, images: bool, scale: Scale | None, rank: int | None
    ) -> int:
        """Return the tensor of a constant that an operator works with number by number."""
        key = (name, not floats, images, None if scale is None else scale.key, rank)
        if key not in self._tensors:
            constant = self.plain.constants[name]
            values = last(constant.values, rank or 4) if images else constant.values
            if values.dtype == np.int64:
                values = values.astype(np.int32)
            if floats and constant.is_half:
                self._tensors[key] = self.builder.floats(values, is_half=True)
            elif floats or values.dtype != np.float32:
                self._tensors[key] = self.builder.constant(values)
            else:
                low, high = float(values.min()), float(values.max())
                scale = Scale.of_range(low, high) if scale is None else scale
                self._tensors[key] = self.builder.constant(scale.integers(values), scale)
        return self._tensors[key]

    def share(self, name: str, number: int, *, floats: bool, images: bool) -> None:
        """Let a tensor that is there be a value, too."""
        (self.images.add if images else self.images.discard)(name)
        integers = self.on_integers and not floats and name in self.plain.scales
        self._tensors[name, integers, images, None] = number

    def alias(self, name: str, of: str) -> None:
        """Let a value be another one, if it is not."""
        if name != of:
            self.renamed[name] = self.renamed.get(of, of)

"""Where the weights lie in an ONNX file, found by reading its protobuf fields.

The reading is *incremental*: `find_payloads` asks for the next bytes of the file, and tells when
the bytes of a weight come next, before it has seen them. So it finds the same places in the whole
file, where the encoder cuts the weights out, and in what is left of it, where the decoder puts
them back. Neither positions nor shapes are stored, no message is written anew, and what is no
ONNX file is a file without weights.

A protobuf message is a sequence of fields: a key (`number << 3 | wire type`) and a value. Wire
type 0 is a varint, 1 has 8 bytes, 5 has 4, and 2 is a length with that many bytes, which may be a
message. A path of three numbers leads to the weights. (onnx/onnx.proto: ModelProto.graph = 7,
GraphProto.initializer = 5, TensorProto.dims = 1, .data_type = 2, .raw_data = 9)
"""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

GRAPH, INITIALIZER, DIMS, DATA_TYPE, RAW_DATA = 7, 5, 1, 2, 9
LEAST_BYTES = 16
"""Smaller tensors stay where they are: a stream of their own costs 3 bytes at least."""
MOST_DIMS = 8
MOST_FIELDS = 1 << 18
"""Of a file are read; a graph of a gigabyte of empty fields would take an hour."""

UNSIGNED, SIGNED, FLOAT = range(3)
ELEMENTS = {
    1: (32, FLOAT),
    2: (8, UNSIGNED),
    3: (8, SIGNED),
    4: (16, UNSIGNED),
    5: (16, SIGNED),
    6: (32, SIGNED),
    10: (16, FLOAT),
    12: (32, UNSIGNED),
    16: (16, FLOAT),  # bfloat16
    21: (4, UNSIGNED),
    22: (4, SIGNED),
    25: (2, UNSIGNED),
    26: (2, SIGNED),
}
"""Width in bits and kind of an element, by TensorProto.DataType."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The values of one weight: `size_bytes` bytes, little endian, rows of `columns` elements."""

    rows: int
    columns: int
    bits: int
    kind: int
    kernel: int
    """Length of the last axis of a convolution's weight, else 0."""

    @property
    def count(self) -> int:
        """Number of elements."""
        return self.rows * self.columns

    @property
    def size_bytes(self) -> int:
        """Elements of less than 8 bits are packed, the first in the lowest bits."""
        return -(-self.count * self.bits // 8)


class MalformedError(Exception):
    """This is no ONNX file; it never leaves this module."""


class _Fields:
    """The file that is read: its next bytes, and how many were read."""

    def __init__(self, read: Callable[[int], bytes], size: int) -> None:
        self._read = read
        self._fields_left = MOST_FIELDS
        self.position = 0
        self.size = size

    def bytes(self, count: int, end: int) -> bytes:
        if count > end - self.position:
            raise MalformedError
        self.position += count
        return self._read(count)

    def varint(self, end: int) -> int:
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = self.bytes(1, end)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise MalformedError

    def headers(self, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield number, wire type and length (of a varint: value) of the fields up to `end`."""
        while self.position < end:
            key = self.varint(end)
            number, wire = key >> 3, key & 7
            self._fields_left -= 1
            if wire not in (0, 1, 2, 5) or not self._fields_left:
                raise MalformedError
            value = self.varint(end) if wire in (0, 2) else {1: 8, 5: 4}[wire]
            yield number, wire, value


def find_payloads(read: Callable[[int], bytes], size: int) -> Iterator[Payload]:
    """Read a file of `size` bytes with `read`, yield each weight when its bytes come next.

    They are then not read: the caller goes on behind them. All other bytes are read in order.
    """
    fields = _Fields(read, size)
    with suppress(MalformedError):
        yield from _in_model(fields)
    fields.bytes(size - fields.position, size)


def cut(onnx_file: bytes) -> tuple[bytes, list[tuple[Payload, bytes]]]:
    """Return a file without its weights, and each weight with its bytes, in their order."""
    skeleton = bytearray()
    position = 0
    weights = []

    def read(count: int) -> bytes:
        nonlocal position
        part = onnx_file[position : position + count]
        position += count
        skeleton.extend(part)
        return part

    for payload in find_payloads(read, len(onnx_file)):
        weights.append((payload, onnx_file[position : position + payload.size_bytes]))
        position += payload.size_bytes
    return bytes(skeleton), weights


def _in_model(fields: _Fields) -> Iterator[Payload]:
    for number, wire, length in fields.headers(fields.size):
        if (number, wire) == (GRAPH, 2):
            yield from _in_graph(fields, _end(fields, length, fields.size))
        elif wire:
            fields.bytes(length, fields.size)


def _in_graph(fields: _Fields, end: int) -> Iterator[Payload]:
    for number, wire, length in fields.headers(end):
        if (number, wire) == (INITIALIZER, 2):
            yield from _in_tensor(fields, _end(fields, length, end))
        elif wire:
            fields.bytes(length, end)


def _in_tensor(fields: _Fields, end: int) -> Iterator[Payload]:
    dims: list[int] = []
    data_type = 0
    for number, wire, value in fields.headers(end):
        if wire == 0:
            if number == DIMS:
                dims.append(value)
            elif number == DATA_TYPE:
                data_type = value
        elif (number, wire) == (DIMS, 2):  # packed, as proto3 would write them
            inner = _end(fields, value, end)
            while fields.position < inner and len(dims) <= MOST_DIMS:
                dims.append(fields.varint(inner))
            fields.bytes(inner - fields.position, inner)
        else:
            payload = _payload(dims, data_type) if (number, wire) == (RAW_DATA, 2) else None
            if payload is None or payload.size_bytes != value or value < LEAST_BYTES:
                fields.bytes(value, end)
            else:
                _end(fields, value, end)
                fields.position += value
                yield payload


def _payload(dims: list[int], data_type: int) -> Payload | None:
    if data_type not in ELEMENTS or 0 in dims or len(dims) > MOST_DIMS:
        return None
    bits, kind = ELEMENTS[data_type]
    rows = dims[0] if len(dims) > 1 else 1
    kernel = dims[-1] if len(dims) > 2 else 0
    return Payload(rows, math.prod(dims) // rows, bits, kind, kernel)


def _end(fields: _Fields, length: int, end: int) -> int:
    """Return where a message of `length` bytes ends that lies in one that ends at `end`."""
    if length > end - fields.position:
        raise MalformedError
    return fields.position + length

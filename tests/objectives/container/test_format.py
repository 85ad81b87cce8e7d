"""Containers as a whole: they give files back bit for bit, are small, and refuse damage."""

import ast
import base64
import gzip
import hashlib
import os
import site
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import objectives.container
from objectives.container.__main__ import main
from objectives.container.bits import BitWriter
from objectives.container.format import MAGIC, METHODS, decode, encode
from objectives.container.payloads import ELEMENTS, FLOAT, MOST_FIELDS, Payload, find_payloads
from objectives.errors import ContainerError

EACH_METHOD = [METHODS, *((method,) for method in METHODS)]


def onnx_file(*weights: tuple[int, tuple[int, ...], bytes]) -> bytes:
    """Return a network of dense layers that has these weights: data type, shape, values."""
    tensors, nodes = [], []
    for number, (data_type, shape, values) in enumerate(weights):
        name = f"{number}.weight"
        tensors.append(helper.make_tensor(name, data_type, shape, values, raw=True))
        nodes.append(helper.make_node("Identity", [name], [f"{number}.out"]))
    graph = helper.make_graph(nodes, "g", [], [], tensors)
    content: bytes = helper.make_model(graph).SerializeToString()
    return content


def sparse_int8(density: float, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Return values in -3 ... 3, small ones more frequent; a third of the columns are empty."""
    generator = np.random.default_rng(seed)
    values = np.clip(np.rint(generator.normal(scale=1.5, size=shape)), -3, 3)
    values[generator.random(shape) >= density] = 0
    values[:, generator.random(shape[1]) < 1 / 3] = 0
    return values.astype(np.int8)


def small_file() -> bytes:
    return onnx_file((TensorProto.INT8, (6, 20), sparse_int8(0.3, (6, 20)).tobytes()))


@st.composite
def weights(draw: st.DrawFn) -> tuple[int, tuple[int, ...], bytes]:
    data_type = draw(st.sampled_from(sorted(ELEMENTS)))
    bits, kind = ELEMENTS[data_type]
    shape = tuple(draw(st.lists(st.integers(0, 20), max_size=4)))
    count = int(np.prod(shape))
    size = -(-count * bits // 8)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    pattern = draw(st.sampled_from(["zeros", "equal", "dense", "sparse", "few values", "rows"]))
    if bits < 8:
        numbers = generator.integers(0, 256, size).astype(np.uint8)  # also behind the last element
    elif kind == FLOAT and bits == 32:
        numbers = generator.normal(size=count).astype(np.float32)
    else:
        numbers = generator.integers(0, 1 << bits, count).astype(f"<u{bits // 8}")
    if pattern == "zeros":
        numbers[:] = 0
    elif pattern == "equal" and len(numbers):
        numbers[:] = numbers[0]
    elif pattern == "sparse":
        numbers *= generator.random(len(numbers)) < 0.1
    elif pattern == "few values" and len(numbers):
        numbers = numbers[generator.integers(0, min(4, len(numbers)), len(numbers))]
    elif pattern == "rows" and shape and len(numbers):
        numbers[:] = np.repeat(numbers[: shape[0]], -(-len(numbers) // shape[0]))[: len(numbers)]
    return data_type, shape, numbers.tobytes()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(weights(), max_size=3), st.sampled_from(EACH_METHOD))
def test_weights_of_any_type_and_shape_come_back(
    some: list[tuple[int, tuple[int, ...], bytes]], methods: tuple[str, ...]
) -> None:
    content = onnx_file(*some)
    assert decode(encode(content, methods)) == content


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_a_file_that_is_no_onnx_comes_back(content: bytes) -> None:
    assert decode(encode(content)) == content


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\x01" * MOST_FIELDS,
        onnx_file() + b"\x00" * 100,
        onnx_file((TensorProto.FLOAT, (1,) * 100 + (5,), bytes(20))),
    ],
    ids=["too many fields", "something behind it", "too many axes"],
)
def test_an_unusual_file_comes_back(content: bytes) -> None:
    assert decode(encode(content)) == content


@pytest.mark.parametrize("methods", EACH_METHOD, ids="-".join)
def test_two_dimensional_weights_come_back(methods: tuple[str, ...]) -> None:
    floats = np.where(
        sparse_int8(0.2, (30, 80)), np.random.default_rng(1).normal(size=(30, 80)), -0.0
    )
    packed = np.random.default_rng(2).integers(0, 256, 50 * 9).astype(np.uint8)
    bias = np.random.default_rng(3).normal(scale=3000, size=500).astype(np.int32)
    content = onnx_file(
        (TensorProto.FLOAT, (30, 80), floats.astype(np.float32).tobytes()),
        (TensorProto.FLOAT16, (30, 80), floats.astype(np.float16).tobytes()),
        (TensorProto.INT4, (50, 2, 3, 3), packed.tobytes()),
        (TensorProto.INT2, (50, 4, 3, 3), packed.tobytes()),
        (TensorProto.INT32, (500,), bias.tobytes()),
        (TensorProto.INT8, (100, 300), sparse_int8(0.05, (100, 300)).tobytes()),
    )
    assert decode(encode(content, methods)) == content


def test_a_file_gives_the_same_container_each_time() -> None:
    assert encode(small_file()) == encode(small_file())


@pytest.mark.parametrize(
    "written",
    [
        (
            b"Pi{jo81$aI#BIzCAwbY0Fay@1a~ZjWxERZYnDa|ZlsG(rRdq>bNhK)NH8XOs0h^x8PK@PV6_DXQ0Ak31"
            b"3@7%00SgBI_ACn@_zeJm|Nl8`<+GN~"
        ),
        (
            b"Pi{jox;~`Dqb-tNAwbZB6ksoNR|dLi4Z2Mmc&UxpV4RK4=H<fcCkt20BxEcs&NtNzLSllbfD9-0fB_2u"
            b"pbMk%9X-D$n_TR&eg"
        ),
    ],
    ids=["huffman", "first arithmetic"],
)
def test_containers_that_were_written_before_stay_readable(written: bytes) -> None:
    """If this fails, the format has changed: `MAGIC` needs a new version."""
    values = bytes((i * i % 7 - 3 if i % 5 == 0 else 0) % 256 for i in range(120))
    (weight,) = onnx.load_from_string(decode(base64.b85decode(written))).graph.initializer
    assert weight.raw_data == values


def test_weights_are_cut_out_where_they_are() -> None:
    values = sparse_int8(0.5, (4, 30))
    content = onnx_file(
        (TensorProto.INT8, (4, 30), values.tobytes()),
        (TensorProto.INT64, (4,), bytes(32)),  # not a type of weights
        (TensorProto.FLOAT, (3,), bytes(12)),  # too small
        (TensorProto.FLOAT, (2, 3, 1, 5), bytes(120)),
    )
    position = 0

    def read(count: int) -> bytes:
        nonlocal position
        position += count
        return content[position - count : position]

    found = []
    for payload in find_payloads(read, len(content)):
        found.append((payload, content[position : position + payload.size_bytes]))
        position += payload.size_bytes
    first, second = found
    assert first == (Payload(4, 30, 8, ELEMENTS[TensorProto.INT8][1], 0), values.tobytes())
    assert second == (Payload(2, 15, 32, FLOAT, 5), bytes(120))
    assert position == len(content)


def test_asymmetric_rows_cost_little_more_than_symmetric_ones() -> None:
    values = sparse_int8(0.05, (60, 500))
    zero_points = np.random.default_rng(0).integers(-5, 6, (60, 1)).astype(np.int8)
    symmetric = onnx_file((TensorProto.INT8, values.shape, values.tobytes()))
    asymmetric = onnx_file((TensorProto.INT8, values.shape, (values + zero_points).tobytes()))
    for methods in (("huffman",), METHODS):
        assert len(encode(asymmetric, methods)) < len(encode(symmetric, methods)) + 60


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
def test_huffman_is_smaller_than_gzip_and_all_methods_are_smaller_still(density: float) -> None:
    values = sparse_int8(density, (100, 784))
    content = onnx_file((TensorProto.INT8, values.shape, values.tobytes()))
    sizes = [len(encode(content, methods)) for methods in (("huffman",), METHODS)]
    assert sizes[1] < 0.95 * sizes[0] < sizes[0] < len(gzip.compress(content, 9))


def test_a_pruned_layer_comes_close_to_its_entropy() -> None:
    generator = np.random.default_rng(0)
    values = np.where(
        generator.random((300, 784)) < 0.025, generator.integers(1, 4, (300, 784)), 0
    )
    content = onnx_file((TensorProto.INT8, values.shape, values.astype(np.int8).tobytes()))
    bits = 300 * 784 * (0.16866 + 0.025 * np.log2(3))  # of a place, and of one of three values
    assert bits / 8 * 0.97 < len(encode(content)) < bits / 8 * 1.03 + 200
    assert len(encode(content, ("huffman",))) < bits / 8 * 1.03 + 200


def test_a_container_cut_short_is_refused() -> None:
    container = encode(small_file())
    for length in range(len(container)):
        with pytest.raises(ContainerError):
            decode(container[:length])
    with pytest.raises(ContainerError, match="left over"):
        decode(container + b"\0")


@pytest.mark.parametrize("methods", EACH_METHOD[1:], ids="-".join)
def test_a_flipped_bit_anywhere_is_refused(methods: tuple[str, ...]) -> None:
    container = encode(small_file(), methods)
    for position in range(len(container)):
        damaged = bytearray(container)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ContainerError) as refusal:
            decode(bytes(damaged), max_bytes=100_000)
        assert "\n" not in str(refusal.value)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_bytes_behind_a_right_beginning_are_refused(data: st.DataObject) -> None:
    container = bytearray(encode(small_file(), data.draw(st.sampled_from(EACH_METHOD))))
    start = data.draw(st.integers(len(MAGIC), len(container) - 1))
    container[start:] = data.draw(st.binary(max_size=100))
    with pytest.raises(ContainerError):
        decode(bytes(container), max_bytes=100_000)


def test_bytes_of_another_kind_or_version_are_refused() -> None:
    with pytest.raises(ContainerError, match="no container"):
        decode(gzip.compress(b""))
    with pytest.raises(ContainerError, match="another version"):
        decode(MAGIC[:3] + b"9" + encode(b"")[4:])


def test_the_same_file_gives_the_same_bytes_for_ever() -> None:
    """If this fails, the format has changed: `solid.format.MAGIC` needs a new version."""
    floats = np.arange(1, 40, dtype=np.float32) / 7
    content = onnx_file(
        (TensorProto.INT8, (6, 20), sparse_int8(0.3, (6, 20)).tobytes()),
        (TensorProto.FLOAT, (39,), floats.tobytes()),
        (TensorProto.FLOAT, (39,), (floats * np.float32(0.3)).tobytes()),
        (TensorProto.INT32, (10,), (np.arange(10) ** 5).astype(np.int32).tobytes()),
        (TensorProto.FLOAT16, (6, 20), sparse_int8(0.3, (6, 20)).astype(np.float16).tobytes()),
        (TensorProto.UINT4, (4, 3, 3, 3), bytes(range(54))),
    )
    written = encode(content)
    assert decode(written) == content
    assert (len(written), hashlib.sha256(written).hexdigest()[:16]) == (339, "1e85bcaecf8416b2")


def test_scales_that_are_those_of_an_earlier_tensor_times_a_number_take_a_few_bytes() -> None:
    scales = np.random.default_rng(0).random(100).astype(np.float32)
    one = onnx_file((TensorProto.FLOAT, (100,), scales.tobytes()))
    two = onnx_file(
        (TensorProto.FLOAT, (100,), scales.tobytes()),
        (TensorProto.FLOAT, (100,), (scales * np.float32(0.0371)).tobytes()),
    )
    assert decode(encode(two)) == two
    assert len(encode(two)) < len(encode(one)) + 20


def claim(size: int, graph_size: int, coding: int, coded: bytes) -> bytes:
    """Return a container that claims to be that large."""
    head, stream = BitWriter(), BitWriter()
    head.number(size)
    head.number(graph_size)
    stream.write(coding, 3)
    stream.number(len(coded))
    return MAGIC + bytes(8) + head.to_bytes() + stream.to_bytes() + coded


@pytest.mark.parametrize("coding", range(8))
def test_absurd_sizes_are_refused_at_once(coding: int) -> None:
    with pytest.raises(ContainerError, match="more than 1000"):
        decode(claim(2**62, 10, coding, b""), max_bytes=1000)
    with pytest.raises(ContainerError, match="larger than its file"):
        decode(claim(500, 501, coding, b""), max_bytes=1000)
    with pytest.raises(ContainerError):
        decode(claim(2**30, 2**30, coding, bytes(100)))


@pytest.mark.parametrize("coding", [3, 4])
def test_a_weight_that_claims_to_be_huge_takes_no_time(coding: int) -> None:
    """The graph tells of a weight of 2**22 elements; what follows is no reason to believe it."""
    whole = onnx_file((TensorProto.INT2, (16, 1 << 18), bytes(1 << 20)))
    graph = whole.replace(bytes(1 << 20), b"")
    for seed in range(20):
        stream = BitWriter()
        coded = np.random.default_rng(seed).bytes(40)
        stream.write(coding, 3)
        stream.number(len(coded))
        container = claim(len(whole), len(graph), 0, graph) + stream.to_bytes() + coded
        with pytest.raises(ContainerError):
            decode(container)


@pytest.mark.parametrize("shape", [(16, 1 << 16), (1 << 20,)], ids=str)
@pytest.mark.parametrize("data_type", [TensorProto.INT8, TensorProto.FLOAT])
def test_a_large_weight_that_is_not_there_takes_no_time(
    data_type: int, shape: tuple[int, ...]
) -> None:
    """What follows the graph is no reason to believe that there are 2**20 elements."""
    values = np.random.default_rng(0).bytes(ELEMENTS[data_type][0] // 8 << 20)
    start = len(encode(onnx_file((data_type, shape, bytes(len(values))))))
    whole = encode(onnx_file((data_type, shape, values)))
    for seed in range(5):
        with pytest.raises(ContainerError):
            decode(whole[: start + seed])
        with pytest.raises(ContainerError):
            decode(whole[: start - 10] + np.random.default_rng(seed).bytes(40))


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="Unknown method 'zip'"):
        encode(b"", ("huffman", "zip"))


def test_the_command_encodes_and_decodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, packed, back = (tmp_path / name for name in ("a.onnx", "a.onc", "b.onnx"))
    source.write_bytes(small_file())
    assert main(["encode", str(source), str(packed), "--methods", "huffman"]) == 0
    assert main(["decode", str(packed), str(back)]) == 0
    assert back.read_bytes() == source.read_bytes()
    onnx.checker.check_model(onnx.load(back))
    capsys.readouterr()
    for arguments in (
        ["decode", str(source), str(back)],
        ["decode", str(tmp_path / "missing"), str(back)],
        ["encode", str(source), str(packed), "--methods", "zip"],
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_package_imports_only_the_standard_library_and_numpy() -> None:
    """And numba, in one place, if it is there; `objectives` itself imports torch."""
    for path in Path(objectives.container.__file__).parent.rglob("*.py"):
        allowed = {"numpy", "objectives", *sys.stdlib_module_names}
        if path.name == "compiled.py":
            allowed.add("numba")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom):
                assert str(node.module).split(".")[0] in allowed, path


def test_a_device_decodes_with_python_and_numpy_alone(tmp_path: Path) -> None:
    """In a process in which nothing else that is installed can be imported: without numba, too.

    That takes as long as the text that both sides know beforehand, so there is none here.
    """
    content = small_file()
    (tmp_path / "file.onc").write_bytes(encode(content, dictionary=b""))
    script = tmp_path / "decode.py"
    script.write_text(
        "import sys\n"
        "class OnlyNumPy:\n"
        "    allowed = {'numpy', 'objectives', 'models', 'compression_search_torchvision'}\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        first = name.partition('.')[0]\n"
        "        if first not in self.allowed and first not in sys.stdlib_module_names:\n"
        "            raise ImportError(f'{name} is not there')\n"
        "sys.meta_path.insert(0, OnlyNumPy())\n"
        "from objectives.container.__main__ import main\n"
        "sys.exit(main(['decode', 'file.onc', 'file.out', '--no-dictionary']))\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run(
        [sys.executable, "-S", script],
        cwd=tmp_path,
        env={"PYTHONPATH": os.pathsep.join([str(root), *site.getsitepackages()])},
        check=True,
    )
    assert (tmp_path / "file.out").read_bytes() == content


def test_a_container_without_the_shared_dictionary_is_larger_and_comes_back(
    tmp_path: Path,
) -> None:
    content = small_file()
    alone = encode(content, dictionary=b"")
    assert len(alone) > len(encode(content))
    assert decode(alone, dictionary=b"") == content
    with pytest.raises(ContainerError):
        decode(alone)
    file, coded, back = (tmp_path / name for name in ("a.onnx", "a.onc", "b.onnx"))
    file.write_bytes(content)
    assert main(["encode", str(file), str(coded), "--no-dictionary"]) == 0
    assert coded.read_bytes() == alone
    assert main(["decode", str(coded), str(back), "--no-dictionary"]) == 0
    assert back.read_bytes() == content

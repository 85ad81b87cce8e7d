"""Each operator answers as ONNX Runtime's, on floats and on integers, in both layouts."""

from dataclasses import dataclass, field

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from onnx import ModelProto, numpy_helper, parser

from objectives.errors import MeasurementError
from objectives.litert.convert import write_tflite


@dataclass(frozen=True)
class Case:
    """What is computed of `x`, as ONNX writes it, and the constants that it reads."""

    nodes: str
    shape: tuple[int, ...] = (1, 4, 9, 9)
    floats: dict[str, tuple[int, ...]] = field(default_factory=dict)
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """These are int8 where the rest is."""
    axis: int = 0
    """Of their channels."""
    steps: float = 1.5
    """By how many steps of the answer's range int8 may differ."""


WEIGHT, ROWS = {"w": (6, 4, 3, 3)}, {"w": (6, 4, 3)}
CASES = {
    "conv": Case("y = Conv<pads=[1,1,1,1]>(x, w)", weights=WEIGHT),
    "conv in two groups": Case("y = Conv<group=2>(x, w)", weights={"w": (6, 2, 3, 3)}),
    "conv in groups of one": Case("y = Conv<group=4>(x, w)", weights={"w": (8, 1, 3, 3)}),
    "conv in uneven steps": Case(
        "y = Conv<strides=[2,1],dilations=[1,2],pads=[2,0,1,1]>(x, w)", weights=WEIGHT
    ),
    "conv over rows": Case(
        "y = Conv<pads=[1,1],strides=[2]>(x, w)", shape=(1, 4, 21), weights=ROWS
    ),
    "conv over rows in groups": Case(
        "y = Conv<dilations=[2],group=4>(x, w)", shape=(1, 4, 21), weights={"w": (4, 1, 3)}
    ),
    "dense": Case(
        "y = Gemm<alpha=1.0,beta=1.0,transB=1>(x, w)", shape=(1, 33), weights={"w": (11, 33)}
    ),
    "larger by twos": Case(
        "y = ConvTranspose<strides=[2,2]>(x, w)", weights={"w": (4, 6, 2, 2)}, axis=1
    ),
    "larger, cut": Case(
        "y = ConvTranspose<strides=[2,2],pads=[1,1,1,1],output_padding=[1,1]>(x, w)",
        weights={"w": (4, 6, 3, 3)},
        axis=1,
    ),
    "larger, uneven": Case(
        "y = ConvTranspose<strides=[3,2],pads=[0,2,1,0],output_padding=[2,1]>(x, w)",
        weights={"w": (4, 6, 4, 3)},
        axis=1,
    ),
    "larger rows": Case(
        "y = ConvTranspose<strides=[2],pads=[1,1]>(x, w)",
        shape=(1, 4, 21),
        weights={"w": (4, 6, 4)},
        axis=1,
    ),
    "maximum with pads": Case("y = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)"),
    "maximum with other pads": Case(
        "y = MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[0,1,2,0]>(x)"
    ),
    "maximum, rounded up": Case(
        "y = MaxPool<kernel_shape=[2,2],strides=[2,2],ceil_mode=1>(x)"
    ),
    "maximum of rows": Case("y = MaxPool<kernel_shape=[4],strides=[4]>(x)", shape=(1, 4, 21)),
    "average with pads": Case(
        "y = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1>(x)",
        steps=2.5,  # in steps of what is read, whose range is larger
    ),
    "average of what is there": Case("y = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)"),
    "average in uneven steps": Case(
        "y = AveragePool<kernel_shape=[3,2],strides=[2,2],pads=[0,1,1,1]>(x)"
    ),
    "average, rounded up": Case(
        "y = AveragePool<kernel_shape=[2,2],strides=[2,2],ceil_mode=1>(x)"
    ),
    "average, rounded up with pads": Case(
        "y = AveragePool<kernel_shape=[3,3],strides=[2,2],pads=[1,0,0,0],ceil_mode=1,"
        "count_include_pad=1>(x)",
        shape=(1, 4, 10, 10),
    ),
    "average of all": Case("y = GlobalAveragePool(x)"),
    "maximum of all": Case("y = GlobalMaxPool(x)"),
    "sum over rows": Case("a = Constant<value_ints=[2]>() y = ReduceSum<keepdims=0>(x, a)"),
    "mean over channels": Case("a = Constant<value_ints=[1]>() y = ReduceMean(x, a)"),
    "least and largest": Case(
        "a = Constant<value_ints=[-1]>() b = Constant<value_ints=[1]>()"
        "l = ReduceMin(x, a) m = ReduceMax(x, b) y = Sub(l, m)"
    ),
    "length": Case("a = Constant<value_ints=[1]>() y = ReduceL2(x, a)"),
    "cut": Case(
        "l = Constant<value_float=-0.5>() h = Constant<value_float=0.7>() y = Clip(x, l, h)"
    ),
    "cut below": Case("l = Constant<value_float=-0.5>() y = Clip(x, l)"),
    "cut to six": Case(
        "l = Constant<value_float=0.>() h = Constant<value_float=6.>() y = Clip(x, l, h)"
    ),
    "slopes": Case("y = PRelu(x, f)", floats={"f": (4, 1, 1)}),
    "leaky": Case("y = LeakyRelu<alpha=0.3>(x)"),
    "elu": Case("y = Elu(x)"),
    "steep elu": Case("y = Elu<alpha=0.5>(x)"),
    "selu": Case("y = Selu(x)"),
    "celu": Case("y = Celu<alpha=2.0>(x)"),
    "softplus": Case("b = Mul(x, f) y = Softplus(b)", floats={"f": (4, 1, 1)}),
    "mish": Case("y = Mish(x)", steps=2.5),  # of parts, each rounded; so are the next ones
    "silu": Case("s = Sigmoid(x) y = Mul(x, s)", steps=2.5),
    "gelu": Case("y = Gelu(x)"),
    "gelu by tanh": Case("y = Gelu<approximate=\"tanh\">(x)"),
    "exponential": Case("e = Exp(x) l = Log(e) n = Neg(l) y = Abs(n)", steps=2.5),
    "sine": Case("s = Sin(x) c = Cos(x) y = Mul(s, c)", steps=2.5),
    "square": Case("e = Constant<value_float=2.>() y = Pow(x, e)"),
    "cube": Case("e = Constant<value_float=3.>() y = Pow(x, e)"),
    "root": Case("a = Abs(x) e = Constant<value_float=0.5>() y = Pow(a, e)", steps=4),
    "reciprocal": Case("e = Exp(x) y = Reciprocal(e)", steps=8),  # 1/x is steep
    "divided": Case("y = Div(x, f)", floats={"f": (4, 1, 1)}),
    "larger of two": Case("m = Neg(x) y = Max(x, m, f)", floats={"f": (4, 1, 1)}),
    "smaller of two": Case("y = Min(x, f)", floats={"f": (9,)}),
    "chosen": Case(
        "z = Constant<value_float=0.>() c = Constant<value = bool[9] {1,0,0,1,1,0,1,0,1}>()"
        "y = Where(c, x, z)"
    ),
    "masked shares": Case(
        "z = Constant<value = float[9] {0,0,-inf,0,-inf,0,0,0,0}>() m = Add(x, z) y = Softmax(m)"
    ),
    "shares of channels": Case("y = Softmax<axis=1>(x)"),
    "logarithms of shares": Case("y = LogSoftmax<axis=1>(x)"),
    "norm of the last axes": Case(
        "y = LayerNormalization<axis=2>(x, f, g)", floats={"f": (9, 9), "g": (9, 9)}
    ),
    "norm of channels": Case("y = InstanceNormalization(x, f, g)", floats={"f": (4,), "g": (4,)}),
    "some places": Case(
        "a = Constant<value_ints=[1,-2]>() b = Constant<value_ints=[9,100]>()"
        "d = Constant<value_ints=[3,1]>() e = Constant<value_ints=[2,1]>() y = Slice(x,a,b,d,e)"
    ),
    "some channels": Case(
        "a = Constant<value_ints=[-3]>() b = Constant<value_ints=[-1]>()"
        "d = Constant<value_ints=[1]>() y = Slice(x,a,b,d)"
    ),
    "parts": Case(
        "s = Constant<value_ints=[1,3]>() p, q = Split<axis=1>(x, s) y = Mul(p, q)", steps=2
    ),
    "one place": Case("i = Constant<value_int=-2>() y = Gather<axis=2>(x, i)"),
    "places": Case(
        "i = Constant<value = int64[2,2] {0,3,-1,1}>() y = GatherND(t, i)"
        .replace("y =", "t = Transpose<perm=[2,3,0,1]>(x) y =")
    ),
    "zeros around": Case("p = Constant<value_ints=[0,1,2,0,0,0,1,3]>() y = Pad(x, p)"),
    "a number around": Case(
        "p = Constant<value_ints=[1,2]>() v = Constant<value_float=9.>()"
        "a = Constant<value_ints=[3]>() y = Pad(x, p, v, a)"
    ),
    "mirrored": Case(
        "p = Constant<value_ints=[0,0,2,1,0,0,1,3]>() y = Pad<mode=\"reflect\">(x, p)"
    ),
    "nearest": Case(
        "r = Constant<value_floats=[1.,1.,2.,3.]>() y = Resize<mode=\"nearest\","
        "coordinate_transformation_mode=\"asymmetric\",nearest_mode=\"floor\">(x, , r)"
    ),
    "bilinear": Case(
        "r = Constant<value_floats=[1.,1.,2.,2.]>() y = Resize<mode=\"linear\","
        "coordinate_transformation_mode=\"half_pixel\">(x, , r)"
    ),
    "bilinear from corner to corner": Case(
        "r = Constant<value_ints=[1,4,14,5]>() y = Resize<mode=\"linear\","
        "coordinate_transformation_mode=\"align_corners\">(x, , , r)"
    ),
    "bilinear to a size": Case(
        "r = Constant<value_ints=[1,4,13,7]>() y = Resize<mode=\"linear\","
        "coordinate_transformation_mode=\"pytorch_half_pixel\">(x, , , r)"
    ),
    "shuffled": Case(
        "a = Constant<value_ints=[1,2,2,9,9]>() b = Constant<value_ints=[1,4,9,9]>()"
        "s = Reshape(x, a) t = Transpose<perm=[0,2,1,3,4]>(s) y = Reshape(t, b)"
    ),
    "rows and back": Case(
        "a = Constant<value_ints=[1,4,81]>() b = Constant<value_ints=[1,4,9,9]>()"
        "r = Reshape(x, a) t = Transpose<perm=[0,2,1]>(r) s = Softmax(t)"
        "u = Transpose<perm=[0,2,1]>(s) v = Reshape(u, b) y = MaxPool<kernel_shape=[2,2]>(v)"
    ),
    "an image of numbers": Case(
        "a = Constant<value_ints=[1,2,5,4]>() r = Reshape(x, a) y = Conv(r, w)",
        shape=(1, 40),
        weights={"w": (3, 2, 2, 2)},
    ),
}  # fmt: skip

REFUSED = {
    "y = ConvTranspose<group=2>(x, w)": "of one group, without dilation only",
    "y = ConvTranspose<dilations=[2,2]>(x, w)": "of one group, without dilation only",
    'y = Conv<auto_pad="SAME_UPPER">(x, w)': "with pads in numbers only",
    "y = MaxPool<kernel_shape=[2,2],dilations=[2,2]>(x)": "without dilation or places only",
    "y = AveragePool<kernel_shape=[2,2],dilations=[2,2]>(x)": "without dilation only",
    "y = Erf(x)": "written without Erf yet",
    "y = HardSigmoid<alpha=0.3>(x)": "of slope 1/6 only",
    "y = Pow(x, x)": "with exponents of the file only",
    "y = Softmax<axis=2>(x)": "over the last axis or channels only",
    "y = Max(x, x) p = Constant<value_ints=[-1,0]>() a = Constant<value_ints=[3]>() "
    "q = Pad(y, p, , a)": "of 0 or more places, only",
    "p = Constant<value_ints=[1,0]>() a = Constant<value_ints=[3]>() "
    'y = Pad<mode="edge">(x, p, , a)': "with a number or by reflection",
    "a = Constant<value_ints=[-1]>() b = Constant<value_ints=[-100]>() "
    "d = Constant<value_ints=[3]>() y = Slice(x, a, b, d, a)": "with steps of 1 or more only",
    'r = Constant<value_floats=[1.,1.,2.,2.]>() y = Resize<mode="cubic">(x, , r)': "cubic",
    "r = Constant<value_floats=[1.,1.,2.,2.]>() y = Resize(x, , r)": "half_pixel, round_prefer_fl",
    'r = Constant<value_floats=[1.,1.,1.5,1.5]>() y = Resize<mode="linear">(x, , r)': "to whole",
    "s = Constant<value_float=1.>() y = Clip(x, s, m) m = ReduceMax<keepdims=0>(x)": "fixed num",
}


def model_of(
    case: Case, *, on_integers: bool, as_image: bool = False, most: int = 127
) -> ModelProto:
    """Return a file that computes a case, of a rounded input if it is on integers."""
    seeded = np.random.default_rng(0)
    constants, first = {}, ""
    for name, shape in case.floats.items():
        constants[name] = seeded.uniform(0.5, 1.5, shape).astype(np.float32)
    for name, shape in case.weights.items():
        values = seeded.normal(size=shape).astype(np.float32)
        constants[name] = values
        if on_integers:
            others = tuple(axis for axis in range(values.ndim) if axis != case.axis)
            scale = (np.abs(values).max(others) / most).astype(np.float32)
            sides = [-1 if axis == case.axis else 1 for axis in range(values.ndim)]
            integers = np.rint(values / scale.reshape(sides)).astype(np.int8)
            constants |= {
                f"{name}q": integers,
                f"{name}s": scale,
                f"{name}z": 0 * integers.flat[0],
            }
            constants[f"{name}z"] = np.zeros(scale.shape, np.int8)
            constants.pop(name)
            read = f"{name}q, {name}s, {name}z"
            first += f" {name} = DequantizeLinear<axis={case.axis}>({read})"
    read = "input"
    if on_integers:
        constants |= {"xs": np.array(0.03, np.float32), "xz": np.array(5, np.int8)}
        first += " iq = QuantizeLinear(input, xs, xz) xd = DequantizeLinear(iq, xs, xz)"
        read = "xd"
    constants["sides"] = np.array(case.shape)
    moved = f"AveragePool<kernel_shape=[1,1]>({read})" if as_image else f"Reshape({read}, sides)"
    sides = ",".join(str(side) for side in case.shape)
    text = f"g (float[{sides}] input) => (float y) {{{first} x = {moved} {case.nodes} }}"
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    model.graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in constants.items()
    )
    return model


def inputs_for(case: Case) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(8, *case.shape[1:])).astype(np.float32)


def tflite_answers(
    content: bytes, inputs: np.ndarray, kernels: OpResolverType = OpResolverType.AUTO
) -> np.ndarray:
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    told, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for row in inputs:
        values = row[None]
        if tuple(told["shape"]) != values.shape:
            values = values.transpose(0, 2, 3, 1)
        interpreter.set_tensor(told["index"], values)
        interpreter.invoke()
        found.append(interpreter.get_tensor(given["index"]))
    return np.stack(found)


LAYOUTS = [(name, as_image) for name, case in CASES.items() for as_image in (False, True)
           if not as_image or len(case.shape) == 4]  # fmt: skip


@pytest.mark.parametrize("on_integers", [False, True])
@pytest.mark.parametrize(("name", "as_image"), LAYOUTS)
def test_an_operator_answers_as_in_onnx(name: str, as_image: bool, on_integers: bool) -> None:
    case = CASES[name]
    model = model_of(case, on_integers=on_integers, as_image=as_image)
    inputs, content = inputs_for(case), model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    expected = np.stack([session.run(None, {"input": row[None]})[0] for row in inputs])
    given = tflite_answers(write_tflite(content, [{"input": inputs}]), inputs)
    assert given.shape == expected.shape
    span = np.ptp(expected)
    tolerated = case.steps * span / 255 if on_integers else 2e-6 * max(span, 1)
    assert np.abs(given - expected).max() / tolerated <= 1


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.weights])
def test_weights_of_four_bits_answer_as_held_in_eight(name: str) -> None:
    case = CASES[name]
    content = model_of(case, on_integers=True, most=7).SerializeToString()
    inputs = inputs_for(case)
    feeds = [{"input": inputs}]
    wide, small = (write_tflite(content, feeds, small_integers=each) for each in (False, True))
    assert (len(small) < len(wide)) == ("ConvTranspose" not in case.nodes)  # LiteRT has none
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    expected = tflite_answers(wide, inputs, plain)
    assert np.array_equal(tflite_answers(small, inputs, plain), expected)
    step = np.ptp(expected) / 255
    assert np.abs(tflite_answers(small, inputs) - expected).max() < 1.5 * step


@pytest.mark.parametrize("nodes", REFUSED)
def test_what_litert_lacks_is_one_line(nodes: str) -> None:
    case = Case(nodes, weights={"w": (4, 4, 3, 3)})
    content = model_of(case, on_integers=False).SerializeToString()
    with pytest.raises(MeasurementError, match=REFUSED[nodes]) as raised:
        write_tflite(content, [{"input": inputs_for(case)}])
    assert "\n" not in str(raised.value)

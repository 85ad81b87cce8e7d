"""Write ONNX files of ours as LiteRT's (.tflite): the same numbers, for phones and controllers."""

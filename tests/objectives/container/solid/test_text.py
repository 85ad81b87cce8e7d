import pytest

from objectives.container.solid.stream import Stream
from objectives.container.solid.text import code_text


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 300, bytes(range(256)) * 3])
@pytest.mark.parametrize("read_before", [b"", b"\0\1\2" * 9])
def test_any_text_comes_back(content: bytes, read_before: bytes) -> None:
    stream = Stream()
    assert code_text(stream, content, len(content), read_before) == content
    coded = stream.finish()
    assert code_text(Stream(coded), b"", len(content), read_before) == content

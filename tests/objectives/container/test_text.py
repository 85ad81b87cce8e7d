import pytest

from objectives.container import text


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 300, bytes(range(256)) * 3])
def test_any_text_comes_back(content: bytes) -> None:
    assert text.decode(text.encode(content), len(content)) == content

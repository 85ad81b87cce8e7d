"""One way to refuse a setting."""

from models.errors import BadInputError


def require(holds: bool, law: str, **values: object) -> None:
    """Raise `BadInputError` with the law and the values unless it `holds`."""
    if not holds:
        got = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise BadInputError(f"`{law}` must hold, but got {got}.")

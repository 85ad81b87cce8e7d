"""The one exception that means: the user gave something that cannot be used."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


class BadInputError(ValueError):
    """Something the user named or set cannot be used; its text is one line that says why.

    The command line prints that line and exits with code 2; from Python it is a `ValueError`.
    """


def first_line(err: BaseException) -> str:
    """Return the first line of an exception's text that is not empty, without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(err))
    return next((line for line in text.splitlines() if line.strip()), "")


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turn what the user's code raises in the `with` block into one line that names `what`.

    Raises:
        BadInputError: Anything was raised; what means that already passes as it is.
    """
    try:
        yield
    except BadInputError:
        raise
    except Exception as err:
        raise BadInputError(f"{what} failed with {type(err).__name__}: {first_line(err)}") from err

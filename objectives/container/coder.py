"""What a coder of weights is: a way to write the indexes of a codebook in few bytes."""

from collections.abc import Callable
from dataclasses import dataclass

from objectives.container.codebook import Indexed
from objectives.container.payloads import Payload

FIRST_CODING, LAST_CODING = 3, 7
"""The streams of coders begin with one of these; those before are `plain`'s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coder:
    """A coder of weights, and of graphs if it could do that, too."""

    coding: int
    """What its streams begin with, 3 to 7: never another one, as files of before have it."""
    most_bytes: int
    """A file above this is coded by it only if that is asked for, as it would take too long."""
    encode: Callable[[Indexed, Payload], bytes | None] | None = None
    """Return a coded weight; None if a decoder would not trust it.

    A coder that has no `encode` codes whole files now, `format.encode` knows how.
    """
    decode: Callable[[bytes, Payload, int], tuple[Indexed, int]]
    """Return the weight and the number of decisions it took, never more than the budget.

    Of decisions, bits that are coded one after the other, a file has a budget; what is left of it
    is the last argument. A coder that decodes many elements at once takes none.
    """
    decode_text: Callable[[bytes, int, bytes], bytes] | None = None
    """Return a graph of so many bytes, given what both sides have read before."""

    def __post_init__(self) -> None:
        assert FIRST_CODING <= self.coding <= LAST_CODING

"""A stream that everything of a file is coded into, or decoded from, by the same calls."""

import numpy as np

from objectives.container.solid.bits import (
    END,
    HIGH,
    LOW,
    POSITION,
    State,
    Tables,
    code_number,
    is_behind,
    new_registers,
    new_state,
    tables,
)
from objectives.container.solid.numbers import ELEMENT, FIELD, code_symbol
from objectives.errors import ContainerError

ROOM = 1 << 24
"""Bytes that are coded before they are taken out; the pages of those that are not cost nothing."""
FIELDS = 16
"""Kinds of symbols; the last one is that of exponents."""
PLAIN_BITS = 30

Snapshot = tuple[int, list[int], list[np.ndarray]]


class Stream:
    """Codes numbers; each method returns what it coded, or found, where the argument is ignored.

    Args:
        content: What is decoded; None to encode.
        largest: Bytes of the largest weight that will be encoded.
    """

    def __init__(self, content: bytes | None = None, largest: int = 0) -> None:
        self.is_decoding = content is not None
        self._registers = new_registers(content)
        if content is None:
            self._content = np.empty(max(ROOM, 2 * largest), np.uint8)
        else:
            self._content = np.frombuffer(content or b"\0", np.uint8).copy()
        self._written = bytearray()
        self._states: list[State] = []
        contexts = FIELDS * FIELD + ELEMENT
        self.numbers = self.model(contexts=contexts, sets=2 * FIELDS + 6, kinds=FIELDS)
        """The model of symbols and elements."""
        self._before = [0] * FIELDS

    def model(
        self,
        *,
        contexts: int,
        sets: int,
        kinds: int,
        weight: int = 1 << 15,
        table: Tables | None = None,
    ) -> State:
        """Return a model of its own that codes into this stream; see `new_state`."""
        state = new_state(
            self._registers,
            self._content,
            table or tables(),
            contexts=contexts,
            sets=sets,
            kinds=kinds,
            weight=weight,
        )
        self._states.append(state)
        return state

    def plain(self, value: int, width: int) -> int:
        """Code a number below 2**width of which nothing is known."""
        high = max(0, width - PLAIN_BITS)
        found = int(code_number(self.numbers, value >> PLAIN_BITS, high)) if high else 0
        low = value & (1 << PLAIN_BITS) - 1
        return found << PLAIN_BITS | int(code_number(self.numbers, low, width - high))

    def symbol(self, field: int, value: int, width: int) -> int:
        """Code a number below 2**width <= 256 that is often like others of its field."""
        before = self._before[field]
        found = int(code_symbol(self.numbers, field, before, value, width))
        self._before[field] = found
        return found

    def count(self, field: int, value: int) -> int:
        """Code a number below 2**62: how many bits it has, and then those behind the first 1."""
        length = self.symbol(field, value.bit_length(), 6)
        if length < 2:
            return length
        self.check()
        return 1 << length - 1 | self.plain(value & (1 << length - 1) - 1, length - 1)

    def check(self) -> None:
        """Take out what was written; raise if more was read than there is."""
        if is_behind(self.numbers):
            raise ContainerError("The container is cut short or damaged.")
        if self.is_decoding:
            return
        position = int(self._registers[POSITION])
        assert position <= len(self._content), "so many bytes are not coded at once"
        self._written += self._content[:position].tobytes()
        self._registers[POSITION] = 0

    def bits(self) -> float:
        """Return how many bits were written."""
        self.check()
        interval = int(self._registers[HIGH] - self._registers[LOW]) + 1
        return 8 * len(self._written) + 32 - float(np.log2(interval))

    def snapshot(self) -> Snapshot:
        """Return what `restore` needs to forget all that is coded from now on."""
        self.check()
        return len(self._written), self._before.copy(), [each.copy() for each in self._arrays()]

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to when `snapshot` was made; models that were made since are lost."""
        size, self._before[:], arrays = snapshot
        del self._written[size:]
        for each, before in zip(self._arrays(), arrays, strict=True):
            each[:] = before

    def _arrays(self) -> list[np.ndarray]:
        models = [
            each
            for state in self._states
            for each in (state.contexts, state.weights, state.used, state.refined)
        ]
        return [self._registers, *models]

    def resumed(self, state: State) -> State:
        """Return a copy of a model of another stream that codes into this one.

        `restore` does not know of it.
        """
        copied = {
            name: getattr(state, name).copy()
            for name in ("contexts", "weights", "used", "refined")
        }
        return state._replace(registers=self._registers, content=self._content, **copied)

    def finish(self) -> bytes:
        """Return all that was written: zeros are read behind its end."""
        self.check()
        low = int(self._registers[LOW])
        return bytes(self._written) + (bytes([(low >> 24) + 1]) if low else b"")

    def expect_end(self) -> None:
        """Raise if not all was read."""
        behind = int(self._registers[POSITION] - self._registers[END])
        if behind not in (3, 4):
            raise ContainerError("The container is damaged: bytes are left over.")

"""Coding of the graph, what is left of a file without its weights: 1 or 2 KB of names and numbers.

Each bit of a byte is predicted from the bits before it in this byte and from the 1 to 6 bytes
before, from the letters of the word so far and the byte before the word; and by what followed
where the last 5 bytes occurred before. As the graph of a small network is too short to learn from,
the model has read `graphs.TYPICAL` before.

A context is found by a hash: a table of 2**20 places keeps what was seen and a tag by which one is
told from others; a place that is met with another tag begins anew.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from objectives.container.compiled import compiled
from objectives.container.solid.bits import UNSEEN, State, Tables, code_bit, tables
from objectives.container.solid.stream import Stream
from objectives.errors import ContainerError

MOST_BYTES = 1 << 20
"""Of a text that is coded like this; a byte takes 3 microseconds."""
PLACES = 1 << 20
HASHED = 9
MATCH_BYTES = 5
MOST_MATCHED = 15
"""Longer matches are trusted alike."""
MATCHES = PLACES
CONTEXTS = MATCHES + 3 * (MOST_MATCHED + 1)
SETS = MOST_MATCHED + 1 + HASHED + 1
MOST_ENDS = 1 << 16
CHUNK = 1 << 12
WEIGHT = 16_000
"""Of each context at first, in 1/2**16."""


class Text(NamedTuple):
    """What was read so far."""

    history: np.ndarray
    """int64: bytes, behind 8 zeros."""
    tags: np.ndarray
    """uint16, (PLACES,)."""
    ends: np.ndarray
    """int64, (MOST_ENDS,): behind the last occurrence of bytes with this hash."""
    found: np.ndarray
    """int64: where the byte is in the history that is expected next, and how many were right."""


def code_text(stream: Stream, text: bytes, size: int, read_before: bytes) -> bytes:
    """Code a text of so many bytes after another, and return it.

    Raises:
        ContainerError: It is too long.
    """
    if size > MOST_BYTES:
        raise ContainerError("The container is damaged: its graph is too large for its coding.")
    taught, before = _taught(read_before)
    start = len(before.history)
    history = np.concatenate([before.history, np.zeros(size, np.int64)])
    history[start : start + len(text)] = np.frombuffer(text, np.uint8)
    known = Text(history, before.tags.copy(), before.ends.copy(), before.found.copy())
    model = stream.resumed(taught)
    for first in range(start, start + size, CHUNK):
        code_bytes(model, known, first, min(start + size, first + CHUNK))
        stream.check()
    return history[start:].astype(np.uint8).tobytes()


@lru_cache(maxsize=2)
def _taught(text: bytes) -> tuple[State, Text]:
    """Return a model that has read `text`, and what it read."""
    history = np.concatenate([np.zeros(8, np.int64), np.frombuffer(text, np.uint8)])
    known = Text(
        history.astype(np.int64),
        np.zeros(PLACES, np.uint16),
        np.zeros(MOST_ENDS, np.int64),
        np.zeros(2, np.int64),
    )
    reader = Stream()
    model = reader.model(
        contexts=CONTEXTS, sets=SETS, kinds=MOST_MATCHED + 1, weight=WEIGHT, table=_table()
    )
    for first in range(8, len(history), CHUNK):
        code_bytes(model, known, first, min(len(history), first + CHUNK))
        reader.check()
    return model, known


def _table() -> Tables:
    """Return tables of contexts that are seldom used twice: what was seen once is trusted."""
    uses = np.arange(len(tables().share))
    return tables()._replace(
        share=(1 << 17) // (2 * np.minimum(uses, 250) + 3),
        trust=256 * (4 * uses + 1) // (4 * uses + 2),
    )


@compiled
def code_bytes(state: State, text: Text, start: int, stop: int) -> None:
    """Code the bytes start ... stop of the history, or fill them in."""
    history, found, chosen, contexts = text.history, text.found, state.chosen, state.contexts
    hashes = np.zeros(HASHED, np.int64)
    for at in range(start, stop):
        order = 0
        for count in range(6):
            order = (order + history[at - 1 - count] + 1) * 0x2F0B4C47 & 0x3FFFFFFF
            order ^= order >> 15
            hashes[count] = order
        word, length = 0, 0
        while length < 24 and at - 1 - length >= 8 and _is_letter(history[at - 1 - length]):
            word = (word + history[at - 1 - length] + 1) * 0x1F0B4C3B & 0x3FFFFFFF
            word ^= word >> 15
            length += 1
        hashes[6] = word ^ 0x1234567
        hashes[7] = (word + history[at - 1 - length] + 256 * history[at - 2 - length]) ^ 0x2345678
        hashes[8] = (history[at - 2] * 256 + history[at - 3]) ^ 0x3456789
        expected = history[found[0]] | 256 if found[1] else 0
        given = history[at]
        node = 1
        for place in range(7, -1, -1):
            agrees = expected >> place + 1 == node
            matched = min(found[1], MOST_MATCHED) if agrees else 0
            known = 0
            for count in range(HASHED):
                key = hashes[count] + node * 0x9E3779B + count * 0x51ED27
                key = (key & 0x1FFFFFFFF) * 0x2545F491
                key = (key & 0x3FFFFFFFFFFFFFF) ^ (key >> 29 & 0x3FFFFFFF)
                spot, tag = key & PLACES - 1, (key >> 20 & 0x7FFF) + 1
                if text.tags[spot] != tag:
                    text.tags[spot] = tag
                    contexts[spot] = UNSEEN
                elif count < 6:
                    known += 1
                chosen[count] = spot
            next_expected = expected >> place & 1 if agrees else 2
            chosen[HASHED] = MATCHES + 3 * matched + next_expected
            sets = matched, MOST_MATCHED + 1 + known
            bit = code_bit(state, HASHED + 1, sets[0], sets[1], matched, given >> place & 1)
            node = 2 * node + bit
        history[at] = node & 255
        _find_match(text, at + 1)


@compiled
def _is_letter(byte: int) -> bool:
    return 97 <= byte <= 122 or 65 <= byte <= 90 or byte == 95 or byte == 46 or 48 <= byte <= 57


@compiled
def _find_match(text: Text, at: int) -> None:
    history, found = text.history, text.found
    if found[1] and history[found[0]] == history[at - 1]:
        found[0] += 1
        found[1] += 1
    else:
        found[1] = 0
    if at < 8 + MATCH_BYTES:
        return
    key = 0
    for count in range(MATCH_BYTES):
        key = (key + history[at - 1 - count] + 1) * 0x2F0B4C47 & 0x3FFFFFFF
        key ^= key >> 15
    spot = key & MOST_ENDS - 1
    if not found[1] and text.ends[spot]:
        same = True
        for count in range(MATCH_BYTES):
            same = same and history[text.ends[spot] - 1 - count] == history[at - 1 - count]
        if same:
            found[0], found[1] = text.ends[spot], 1
    text.ends[spot] = at

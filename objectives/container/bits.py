"""Fields of bits, the most significant first; reading beyond the end is a `ContainerError`."""

from objectives.errors import ContainerError

LENGTH_BITS = 6
MOST_RICE_BITS = 34


class BitWriter:
    """Numbers written one after the other."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def write(self, value: int, width: int) -> None:
        """Append `value`, `0 <= value < 2**width`, in `width` bits; width 0 appends nothing."""
        assert 0 <= value < 1 << width, f"{value} does not fit in {width} bits"
        if width:
            self._bits.append(f"{value:0{width}b}")

    def number(self, value: int) -> None:
        """Append a number below 2**63: its bit length in 6 bits, then the bits behind its 1."""
        length = value.bit_length()
        self.write(length, LENGTH_BITS)
        if length > 1:
            self.write(value - (1 << length - 1), length - 1)

    def rice(self, value: int, low: int) -> None:
        """Append a number that is seldom far above 2**low: the rest in unary, then `low` bits."""
        self._bits.append("1" * (value >> low) + "0")
        self.write(value & (1 << low) - 1, low)

    def to_bytes(self) -> bytes:
        """Return what was written, filled up with zeros to whole bytes."""
        bits = "".join(self._bits)
        count = -(-len(bits) // 8)
        return int(bits.ljust(8 * count, "0") or "0", 2).to_bytes(count, "big")


class BitReader:
    """What a `BitWriter` wrote, and bytes behind it."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0  # in bits

    def read(self, width: int) -> int:
        """Return the next `width` bits as a number."""
        end = self._position + width
        if end > 8 * len(self._content):
            raise ContainerError("The container is cut short.")
        covering = self._content[self._position // 8 : -(-end // 8)]
        self._position = end
        return int.from_bytes(covering, "big") >> -end % 8 & (1 << width) - 1

    def number(self) -> int:
        """Return a number that `BitWriter.number` wrote."""
        length = self.read(LENGTH_BITS)
        return 1 << length - 1 | self.read(length - 1) if length else 0

    def rice(self, low: int) -> int:
        """Return a number that `BitWriter.rice` wrote."""
        high = 0
        while self.read(1):
            high += 1
        if high << low >= 1 << MOST_RICE_BITS:
            raise ContainerError("The container is damaged: a number is too large.")
        return high << low | self.read(low)

    def align(self) -> None:
        """Skip to the next whole byte."""
        self._position += -self._position % 8

    def take(self, count: int) -> bytes:
        """Skip to the next whole byte and return the `count` bytes from there."""
        self.align()
        start = self._position // 8
        if start + count > len(self._content):
            raise ContainerError("The container is cut short.")
        self._position = 8 * (start + count)
        return self._content[start : start + count]

    def rest(self) -> bytes:
        """Skip to the next whole byte and return all bytes from there."""
        self.align()
        return self.take(len(self._content) - self._position // 8)


def rice_parameter(values: list[int]) -> int:
    """Return the `low` that writes `values` in the fewest bits."""
    return min(range(32), key=lambda low: sum((value >> low) + 1 + low for value in values))

"""Names that belong together, found out pair by pair (union-find)."""


class Groups:
    """Names that were joined belong to one group, called by one of them."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return what the group of `name` is called."""
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def join(self, one: str, other: str) -> None:
        """Make one group of those of two names."""
        self._parents[self.of(one)] = self.of(other)

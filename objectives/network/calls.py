"""What a network's code computes, call by call: to look at each tensor, or to let others go on.

A call is named by the innermost module that makes it, the function, and how often the module had
called that before: "layer1.0>add:0". Where a module is called again the name says how often it was
before: "block:1/block.conv>conv2d:0". So names stay the same where another part of the network
computes something only while it trains, as stochastic depth does.

Functions of torch are seen, not what one of them computes inside, as attention does.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from types import MethodType
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

INPUT = "input"
"""The call that gives what the network is called with; further inputs are "input:1" and so on."""

Visit = Callable[[str, Tensor, tuple[Any, ...]], Tensor]
"""Takes the name of a call, the floats that it gives, and its arguments; returns what goes on."""

_unseen = False


@contextmanager
def unseen() -> Iterator[None]:
    """Let no call within the block be seen, nor counted."""
    global _unseen
    before, _unseen = _unseen, True
    try:
        yield
    finally:
        _unseen = before


class _Frame:
    """A call of a module that is going on."""

    def __init__(self, path: str, before: "_Frame | None") -> None:
        number = before.next(path) if before else 0
        self.prefix: str = before.prefix if before else ""
        """The calls around it, and it itself, if they are not the first of their module."""
        if number:
            self.prefix += f"{path}:{number}/"
        self.name = self.prefix + path
        self._counts: Counter[str] = Counter()

    def next(self, called: str) -> int:
        """Return how often `called` was called here before, and count it."""
        self._counts[called] += 1
        return self._counts[called] - 1


class CallWatch(TorchFunctionMode):
    """Calls `visit` for each call of `network` that gives floats, until it is removed.

    Args:
        network: Looked at wherever it, or a module of it, is called.
        visit: See `Visit`.
        wanted: Names of the calls to visit; None for all, of which `visit` changes nothing.
    """

    def __init__(
        self, network: nn.Module, visit: Visit, wanted: Collection[str] | None = None
    ) -> None:
        super().__init__()
        self._visit = visit
        self._wanted = wanted
        self._frames: list[_Frame] = []
        self._latest: Tensor | None = None
        self._network, self._own_forward = network, vars(network).get("forward")
        self._hooks = []
        for path, module in network.named_modules():
            if module is network:
                continue
            # functions, not methods: with a copy of the network no watch is copied
            before = module.register_forward_pre_hook(
                lambda _, __, path=path: self._enter_module(path), prepend=True
            )
            after = module.register_forward_hook(
                lambda _, args, given: self._leave_module(args, given), always_call=True
            )
            self._hooks += [before, after]
        # not a class of its own: the network's code may ask for its type, or count on it
        vars(network)["forward"] = MethodType(self._seeing(network.forward), network)

    def remove(self) -> None:
        """Look no longer."""
        for hook in self._hooks:
            hook.remove()
        if self._own_forward is None:
            del vars(self._network)["forward"]
        else:
            vars(self._network)["forward"] = self._own_forward

    def _seeing(self, plain: Any) -> Callable[..., Any]:  # noqa: ANN401 - a method, as a rule
        """Return `forward` that is seen, also where no hook is: called by itself."""
        function = getattr(plain, "__func__", lambda _, *args, **named: plain(*args, **named))

        @wraps(function)
        def forward(network: nn.Module, *args: Any, **named: Any) -> Any:  # noqa: ANN401
            given = None
            self._enter_module("")
            try:
                args, named = self._inputs(args, named)
                given = function(network, *args, **named)
            finally:
                visited = self._leave_module(args, given)
            return given if visited is None else visited

        return forward

    def _is_wanted(self, call: str) -> bool:
        return self._wanted is None or call in self._wanted

    def _inputs(
        self, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what the network is called with, its floats as visited."""
        if len(self._frames) > 1:
            return args, named
        given: dict[Any, Any] = {**dict(enumerate(args)), **named}
        for place, (name, values) in enumerate(given.items()):
            call = f"{INPUT}:{place}" if place else INPUT
            if _is_floats(values) and self._is_wanted(call):
                with unseen():
                    given[name] = self._visit(call, values, ())
        return tuple(given[place] for place in range(len(args))), {
            name: given[name] for name in named
        }

    def _enter_module(self, path: str) -> None:
        self._frames.append(_Frame(path, self._frames[-1] if self._frames else None))
        if len(self._frames) == 1:
            self.__enter__()  # type: ignore[no-untyped-call] # torch's

    def _leave_module(self, args: tuple[Any, ...], given: Any) -> Any:  # noqa: ANN401 - a hook's
        frame = self._frames.pop()
        if not self._frames:
            self.__exit__(None, None, None)  # type: ignore[no-untyped-call] # torch's
        call = f"{frame.name}>out"  # of code that ends with no function of torch
        if _unseen or given is self._latest or not _is_floats(given) or not self._is_wanted(call):
            return None
        with unseen():
            return self._visit(call, given, args)

    def __torch_function__(
        self,
        function: Any,  # noqa: ANN401 - torch's, as what follows
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Call `function`, and look at what it gives."""
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if _unseen or not self._frames or name == "__get__":
            return function(*args, **kwargs)
        frame = self._frames[-1]
        call = f"{frame.name}>{name}:{frame.next(name)}"
        if self._wanted is not None and call in self._wanted and _may_write(name, args, kwargs):
            return self._written(call, function, args, kwargs)
        given = function(*args, **kwargs)
        if _is_floats(given):
            if self._is_wanted(call):
                given = self._visit(call, given, args)
            self._latest = given
        elif type(given) in (tuple, list):
            given = type(given)(
                self._visit(f"{call}[{number}]", each, args)
                if _is_floats(each) and self._is_wanted(f"{call}[{number}]")
                else each
                for number, each in enumerate(given)
            )
        return given

    def _written(self, call: str, function: Any, args: tuple[Any, ...], kwargs: Any) -> Tensor:  # noqa: ANN401 - torch's
        """Return what a function gives that may write into its first argument.

        It writes into a copy: what was written is kept for the gradient.
        """
        written = args[0].clone()
        given = function(written, *args[1:], **kwargs)
        visited = self._visit(call, given, args)
        if given is written:
            visited = args[0].copy_(visited)
        self._latest = visited
        return visited


def _is_floats(given: object) -> bool:
    return isinstance(given, Tensor) and given.is_floating_point()


def _may_write(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a function may write into its first argument."""
    if not args or not isinstance(args[0], Tensor):
        return False
    return name.endswith("_") or any(each is True for each in (*args[1:], kwargs.get("inplace")))

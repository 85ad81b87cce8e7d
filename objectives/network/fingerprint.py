"""A hash over everything that a user's network is beside its weights: its code and its settings.

Two networks that are built alike and print alike may differ in a plain attribute
(`self.activation`), in hyperparameters, or in a `forward` that was edited in a notebook, where no
file tells. So values are followed: of a module its attributes and its classes' methods, of a
function its code, its defaults, what it has closed over, and the functions and values beside it
that it names. What belongs to a library counts by its name and its attributes.
"""

import copyreg
import functools
import hashlib
import logging
import types
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from objectives.network.source import global_names_in, is_of_library, names_in

_OF_PYTHON = (bool, int, float, complex, str, bytes, type(None), type(...), slice, range)
_OF_TORCH = (torch.dtype, torch.device, torch.layout, torch.memory_format)
PLAIN = (*_OF_PYTHON, *_OF_TORCH, np.generic, np.dtype)
"""Types whose values are told wholly by what they print."""

OF_PYTHON = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__"}
OF_PYTHON |= {"__dataclass_fields__", "__dataclass_params__", "__abstractmethods__", "_abc_impl"}
OF_PYTHON |= {"__slotnames__", "__static_attributes__", "__annotations_cache__"}
"""What a class has that says nothing of what it does."""

DEEPEST = 100
"""Objects within each other that are followed: Python allows no more than some hundreds."""

DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType)

OF_TORCH = {"training", "_parameters", "_buffers", "_non_persistent_buffers_set", "_modules"}
OF_TORCH |= set(vars(nn.Module()))
OF_LIGHTNING = {"_trainer", "_fabric", "_metric_attributes", "_param_requires_grad_state"}
OF_LIGHTNING |= {"_compiler_ctx", "_jit_is_scripting", "_fabric_optimizers", "_logger", "_device"}
"""Attributes of modules that say nothing, or are hashed as weights."""

HOOKS = {name for name in OF_TORCH if name.endswith("_hooks")}


class Fingerprint:
    """A hash that values are added to; what cannot be hashed is listed.

    `own` are packages whose code is followed also where they are installed as libraries are.
    """

    def __init__(self, own: Collection[str] = ()) -> None:
        self._own = own
        self._depth = 0
        self._digest = hashlib.sha256()
        self._seen: dict[int, int] = {}
        self._classes: set[int] = set()
        """Those whose bodies were added."""
        self._kept: list[object] = []
        """What was seen stays alive, so that no other object gets its id."""
        self.unknown: list[str] = []
        """Where a value is that no rule hashes."""

    def hexdigest(self) -> str:
        """Return the hash, 64 hexadecimal digits."""
        return self._digest.hexdigest()

    def add(self, value: object, place: str) -> None:
        """Add a value; `place` says in words where it is."""
        if isinstance(value, PLAIN):
            self._tell(f"{type(value).__name__} {value!r}")
        elif isinstance(value, Enum | PurePath):
            self._tell(f"{type(value).__name__} {value}")
        elif id(value) in self._seen:
            self._tell(f"again {self._seen[id(value)]}")
        elif self._depth == DEEPEST:
            self.unknown.append(f"{place} ({type(value).__name__}, {DEEPEST} objects deep)")
        else:
            self._seen[id(value)] = len(self._seen)
            self._kept.append(value)
            self._depth += 1
            self._add(value, place)
            self._depth -= 1

    def _is_of_library(self, value: object) -> bool:
        return is_of_library(value, self._own)

    def _tell(self, text: str) -> None:
        self._digest.update(f"{len(text)} {text};".encode())

    def _add(self, value: Any, place: str) -> None:  # noqa: ANN401 - any of the user's
        if isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._tell(f"array {value.dtype} {value.shape}")
            self._bytes(np.ascontiguousarray(value).view(np.uint8))
        elif isinstance(value, Mapping):
            self._of_subclass(value, place)
            self._each(f"mapping {len(value)}", value.items(), place)
        elif isinstance(value, Set):
            self._tell(f"set {sorted(self._alone(each, place) for each in value)}")
        elif isinstance(value, list | tuple):
            self._of_subclass(value, place)
            self._each(f"{type(value).__name__} {len(value)}", enumerate(value), place)
        elif isinstance(value, nn.Module):
            self._module(value, place)
        elif isinstance(value, functools.partial):
            self._tell("partial")
            self.add((value.func, value.args, value.keywords), place)
        elif isinstance(value, types.MethodType):
            self._tell(f"method {value.__name__}")
            self.add(value.__self__, place)
            self.add(value.__func__, place)
        elif isinstance(value, type):
            self.add_class(value, place)
        elif isinstance(value, types.ModuleType):  # a function follows what it reads of it
            self._tell(f"module {value.__name__}")
        elif isinstance(value, logging.Logger | weakref.ref):
            self._tell(type(value).__name__)
        elif self._is_of_library(value):
            self._of_library(value, place)
        elif isinstance(value, types.FunctionType):
            self._function(value, place)
        elif hasattr(value, "__dict__"):
            self.add_class(type(value), place)
            self._attributes(value, place)
        else:
            self.add_class(type(value), place)
            self._pickled(value, place)

    def _alone(self, value: object, place: str) -> str:
        """Return a hash of one value of several without an order."""
        told = Fingerprint(self._own)
        told.add(value, place)
        self.unknown += told.unknown
        return told.hexdigest()

    def _of_library(self, value: object, place: str) -> None:
        """Add a function of a library by its name, an object by what a pickle would hold of it."""
        name = getattr(value, "__qualname__", getattr(value, "__name__", None))
        self._tell(f"{type(value).__name__} {name}")
        if name is not None and not hasattr(value, "__dict__"):
            return  # one that is built in
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
            self._attributes(value, place)
            return
        if isinstance(value, functools.cached_property):  # it holds a lock
            self.add(value.func, place)
        else:
            self._pickled(value, place)

    def _pickled(self, value: object, place: str) -> None:
        """Add what a pickle would hold of an object."""
        reduce: Any = copyreg.dispatch_table.get(type(value), lambda each: each.__reduce_ex__(4))
        try:
            reduced = reduce(value)
        except Exception:  # of whatever a class does not like about it
            self.unknown.append(f"{place} ({type(value).__name__})")
            return
        for part in (reduced,) if isinstance(reduced, str) else reduced:
            self.add(list(part) if isinstance(part, Iterator) else part, place)

    def _of_subclass(self, value: object, place: str) -> None:
        """Add what a container is beside its items, where it is none of Python's own."""
        if not self._is_of_library(type(value)):
            self.add_class(type(value), place)
            self._attributes(value, place)

    def _tensor(self, tensor: Tensor) -> None:
        self._tell(f"tensor {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad}")
        uninitialized = isinstance(tensor, nn.UninitializedParameter | nn.UninitializedBuffer)
        if uninitialized or tensor.is_meta:
            return
        plain = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
        plain = plain.resolve_conj().resolve_neg().cpu().contiguous()
        self._bytes(plain.view(-1).view(torch.uint8).numpy())

    def _bytes(self, array: np.ndarray) -> None:
        self._digest.update(array.data if array.size else b"")

    def _each(self, what: str, items: Iterable[tuple[object, object]], place: str) -> None:
        self._tell(what)
        for key, value in items:
            self.add(key, place)
            self.add(value, f"{place}.{key}" if isinstance(key, str) else f"{place}[{key}]")

    def _attributes(self, value: object, place: str) -> None:
        """Add the attributes of an object that may have some."""
        self._each("attributes", getattr(value, "__dict__", {}).items(), place)

    def _module(self, module: nn.Module, place: str) -> None:
        """Add a module without its weights, and those that it holds."""
        self._tell(f"module {type(module).__name__}")
        if type(module).__module__.partition(".")[0] == "torchmetrics":
            return  # they count, and hold functions of their own making
        self.add_class(type(module), place)
        own = {
            name: value
            for name, value in vars(module).items()
            if name not in OF_TORCH | OF_LIGHTNING
        }
        for name, parameter in module.named_parameters(recurse=False):
            self._tell(f"{name} {parameter.requires_grad}")
        hooks = {name: value for name in HOOKS if (value := getattr(module, name, None))}
        self._each("own", own.items(), place)
        self._each("hooks", sorted(hooks.items()), place)
        self._each("modules", module.named_children(), place)

    def add_class(self, kind: type, place: str) -> None:
        """Add what a class and those that it is made of define themselves."""
        for each in kind.__mro__:
            self._tell(f"class {each.__qualname__}")
            if self._is_of_library(each) or id(each) in self._classes:
                continue
            self._classes.add(id(each))
            self._kept.append(each)
            for name, value in sorted(vars(each).items()):
                if name in OF_PYTHON:
                    continue
                self._tell(name)
                self._member(value, f"{place}, {each.__name__}.{name}")

    def _member(self, value: Any, place: str) -> None:  # noqa: ANN401 - any of a class
        if isinstance(value, staticmethod | classmethod):
            self.add(value.__func__, place)
        elif isinstance(value, property):
            self.add((value.fget, value.fset), place)
        elif isinstance(value, DESCRIPTORS):  # slots, and what Python makes
            self._tell("descriptor")
        else:
            self.add(value, place)

    def _function(self, function: types.FunctionType, place: str) -> None:
        """Add the code of a function, and what it reads beside its arguments."""
        place = f"{place} ({function.__name__})"
        self._tell(f"function {function.__name__}")
        self._code(function.__code__, place)
        self.add(function.__defaults__, place)
        self.add(function.__kwdefaults__, place)
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents, place)
            except ValueError:  # a name that is not bound yet
                self._tell("empty")
        for name in sorted(global_names_in(function.__code__)):
            if name in function.__globals__:
                self._tell(name)
                self._read(function.__globals__[name], function.__code__, f"{place}, {name}")

    def _read(self, value: object, code: types.CodeType, place: str) -> None:
        """Add what a function reads beside its arguments; of a module what it names."""
        if not isinstance(value, types.ModuleType) or self._is_of_library(value):
            self.add(value, place)
            return
        for name in sorted(names_in(code) & vars(value).keys()):
            self._tell(name)
            self._read(vars(value)[name], code, f"{place}.{name}")

    def _code(self, code: types.CodeType, place: str) -> None:
        self._digest.update(code.co_code)
        self._tell(f"{code.co_names} {code.co_varnames} {code.co_freevars} {code.co_cellvars}")
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant, place)
            elif isinstance(constant, frozenset):
                self._tell(f"{sorted(map(repr, constant))}")
            else:
                self._tell(repr(constant))

"""Public docstrings say what goes in, what comes out, and what goes wrong.

The public names are those of tests/public_api.txt. Of a function or method:

* `Args:` names every parameter, an array with its dtype or shape;
* `Returns:` says what comes back, unless the first line does: one that begins with an article or
  the like ("The picture of ...", "Whether ...") tells what there is, not what is done;
* `Raises:` names the errors of its own `raise`s, and an error of ours where something that it
  calls raises one.

A class names its attributes, under `Args:` or `Attributes:` or each by a docstring of its own. In
place of any of these may stand "as for `other`", if that says it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

from lictor.codec.errors import CodecError
from lictor.entropy import CorruptStream
from lictor.models.errors import ModelError

PACKAGES = ("lictor.codec", "lictor.entropy", "lictor.models")
OURS = (CodecError, ModelError, CorruptStream)
TELLS = re.compile(r"(The|A|An|All|Each|Every|Whether|What|Which|Where|How)\b")
ARRAY = re.compile(r"ndarray|NDArray|\w*Array\b|ArrayLike|Tensor")
SHAPE = re.compile(
    r"\b(u?int|float|bfloat|complex)\d*\b|\bbool\b|\([\w /·,+-]*,[\w /·,+-]*\)|shape"
)
REFERENCE = re.compile(r"\b[Aa]s (?:for |in )?((?:`[\w.]+`(?:, | and )?)+)")
SECTION = re.compile(r"(Args|Attributes|Returns|Raises):$")

EXCEPTIONS: dict[str, str] = {}
"""Public names that lack something all the same, and why. May shrink, not grow."""


def public() -> Iterator[tuple[str, Any]]:
    """Every public name, such as "lictor.codec.Store.load", and what it is."""
    for package in PACKAGES:
        module = import_module(package)
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if inspect.isclass(value):
                yield f"{package}.{name}", value
                for part, own in vars(value).items():
                    own = getattr(own, "__func__", own)
                    if not part.startswith("_") and (callable(own) or isinstance(own, property)):
                        yield f"{package}.{name}.{part}", own
            elif callable(value):
                yield f"{package}.{name}", inspect.unwrap(value)


NAMES = dict(public())


# ---- what a docstring says


class Doc:
    """A docstring in its sections.

    first: its first line. told: the entries of Args and Attributes, by name. returns: the text of
    Returns, None without. raised: the errors that Raises names.
    """

    def __init__(self, text: str) -> None:
        self.first = text.partition("\n")[0]
        self.text = text
        self.told: dict[str, str] = {}
        self.returns: str | None = None
        self.raised: list[str] = []
        for title, body in _sections(text):
            if title == "Returns":
                self.returns = body
            elif title == "Raises":
                self.raised += [name for name, _ in _entries(body)]
            else:
                self.told.update(_entries(body))
        self.others = [name for group in REFERENCE.findall(text) for name in _names(group)]


def _names(group: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", group)


def _sections(text: str) -> Iterator[tuple[str, str]]:
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if found := SECTION.match(line):
            body = []
            for below in lines[number + 1 :]:
                if below and not below.startswith(" "):
                    break
                body.append(below)
            yield found[1], textwrap.dedent("\n".join(body)).strip()


def _entries(body: str) -> Iterator[tuple[str, str]]:
    """The names before the colons, several with commas between as one each, and what follows."""
    for entry in re.split(r"\n(?=\S)", body):
        names, _, text = entry.partition(":")
        yield from ((name.strip(" *"), text) for name in names.split(","))


def docs(name: str, seen: tuple[str, ...] = ()) -> Iterator[Doc]:
    """The docstring of a public name, and those it refers to."""
    doc = Doc(inspect.getdoc(NAMES[name]) or "")
    yield doc
    for other in doc.others:
        full = _full(other, name)
        if full and full not in (name, *seen):
            yield from docs(full, (name, *seen))


def _full(other: str, name: str) -> str | None:
    """The public name that is meant by one in a docstring: from the nearest place outwards."""
    place = name
    while place:
        place = place.rpartition(".")[0]
        if f"{place}.{other}".strip(".") in NAMES:
            return f"{place}.{other}".strip(".")
    return None


# ---- what code raises


@cache
def _tree(function: FunctionType) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def _scope(function: FunctionType) -> dict[str, Any]:
    """The global names that a function sees, with what it imports itself."""
    scope = dict(function.__globals__)
    for node in ast.walk(_tree(function)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lictor"):
            module = import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    import_module(f"{node.module}.{alias.name}")
                scope[alias.asname or alias.name] = getattr(module, alias.name)
    return scope


def _value(node: ast.AST, scope: dict[str, Any]) -> Any:
    """What a name, or a name in a module, stands for; None if that is not known here."""
    if isinstance(node, ast.Name):
        return scope.get(node.id)
    if isinstance(node, ast.Attribute):
        holder = _value(node.value, scope)
        return getattr(holder, node.attr, None) if isinstance(holder, (ModuleType, type)) else None
    return None


def _raised(function: FunctionType) -> set[type[BaseException]]:
    """The errors that a function's own code raises and does not catch by name itself."""
    scope, found = _scope(function), set()
    for node in ast.walk(_tree(function)):
        if isinstance(node, ast.Raise) and node.exc:
            called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            error = _value(called, scope)
            if isinstance(error, type) and issubclass(error, Exception):
                found.add(error)
    return found - {NotImplementedError}


def _called(function: FunctionType) -> Iterator[FunctionType]:
    """The functions of ours that a function calls, as far as names tell."""
    scope = _scope(function)
    for node in ast.walk(_tree(function)):
        if isinstance(node, ast.Call):
            value = _value(node.func, scope)
            made = vars(value) if inspect.isclass(value) else {"": value}
            for step in (made.get("__init__"), made.get("__post_init__"), made.get("")):
                step = inspect.unwrap(step) if callable(step) else None
                if isinstance(step, FunctionType) and step.__module__.startswith("lictor."):
                    yield step


def _may_raise(function: FunctionType) -> bool:
    """Whether an error of ours is raised by a function or by what it calls."""
    seen, left = set(), [function]
    while left:
        this = left.pop()
        if this in seen:
            continue
        seen.add(this)
        try:
            if any(issubclass(error, OURS) for error in _raised(this)):
                return True
            left += _called(this)
        except OSError:  # without source: what a dataclass generated
            continue
    return False


# ---- the rules


def lacks(name: str) -> Iterator[str]:
    """What the docstring of a public name lacks."""
    value = NAMES[name]
    if not (inspect.getdoc(value) or "").strip():
        yield "a docstring"
        return
    if inspect.isclass(value):
        yield from _class_lacks(name, value)
    elif isinstance(value, property):
        gives = str(inspect.signature(value.fget).return_annotation)
        if ARRAY.search(gives) and not _says_shape(inspect.getdoc(value) or ""):
            yield "dtype or shape of what it is"
        yield from _raises_lacks(name, value.fget)
    else:
        yield from _function_lacks(name, value)


def _class_lacks(name: str, value: type) -> Iterator[str]:
    if issubclass(value, Exception):
        return
    told = {key for doc in docs(name) for key in doc.told}
    wanted = set()
    init = vars(value).get("__init__")
    if init:
        wanted |= set(inspect.signature(init).parameters)
    wanted |= {
        key
        for key, own in vars(value).items()
        if not key.startswith("_") and not callable(getattr(own, "__func__", own))
    }
    wanted -= {key for key, own in vars(value).items() if isinstance(own, property)}
    for key in sorted(wanted - told - {"self", "args", "kwargs"}):
        yield f"{key} under Args or Attributes"


def _function_lacks(name: str, value: Callable[..., Any]) -> Iterator[str]:
    found = list(docs(name))
    told = {key: text for doc in reversed(found) for key, text in doc.told.items()}
    signature = inspect.signature(value)
    for key, parameter in signature.parameters.items():
        if key in ("self", "cls"):
            continue
        if key not in told:
            yield f"{key} under Args"
        elif ARRAY.search(str(parameter.annotation)) and not _says_shape(told[key]):
            yield f"dtype or shape of {key}"
    gives = str(signature.return_annotation)
    if gives not in ("None", "<class 'inspect._empty'>"):
        said = [doc.returns or doc.first for doc in found if doc.returns or TELLS.match(doc.first)]
        if not said:
            yield "Returns"
        elif ARRAY.search(gives) and not any(_says_shape(text) for text in said):
            yield "dtype or shape of what it returns"
    yield from _raises_lacks(name, value)


def _says_shape(text: str) -> bool:
    return bool(SHAPE.search(text) or re.search(r"\bas (for|in|it was)\b", text))


def _raises_lacks(name: str, function: Any) -> Iterator[str]:
    named = {word for doc in docs(name) for word in doc.raised}
    own = sorted(_raised(function), key=lambda error: error.__name__)
    hidden = [e.__name__ for e in own if not named & {base.__name__ for base in e.__mro__[:-2]}]
    yield from (f"{error} under Raises" for error in hidden)
    if not named and not hidden and _may_raise(function):
        yield "Raises"


@pytest.mark.parametrize("name", NAMES)
def test_a_public_docstring_says_all(name: str):
    found = list(lacks(name))
    if name in EXCEPTIONS:
        assert found, f"{name} lacks nothing now: take it off EXCEPTIONS"
    else:
        assert not found, f"{name} lacks: {'; '.join(found)}"


def _silent(x: np.ndarray, axis: int = 0) -> np.ndarray:
    """Sum what there is."""
    if axis:
        raise CodecError("no such axis")
    return x


def _telling(x: np.ndarray, axis: int = 0) -> np.ndarray:
    """Sum what there is.

    Args:
        x: float32 (N,).
        axis: 0.

    Returns:
        The sum, float32 ().

    Raises:
        CodecError: axis is another.
    """
    return _silent(x, axis)


def _pointing(x: np.ndarray, axis: int = 0) -> np.ndarray:
    """The sum of what there is, as `_telling`."""
    return _silent(x, axis)


def _silent_about_another(x: np.ndarray) -> np.ndarray:
    """The sum of what there is.

    Args:
        x: what there is.
    """
    return _silent(x)


@pytest.mark.parametrize(
    ("function", "lacking"),
    [
        (_telling, []),
        (_pointing, []),
        (_silent, ["x under Args", "axis under Args", "Returns", "CodecError under Raises"]),
        (
            _silent_about_another,
            ["dtype or shape of x", "dtype or shape of what it returns", "Raises"],
        ),
    ],
)
def test_what_is_missing_is_found(function, lacking, monkeypatch):
    for known in (_telling, _silent, _pointing, _silent_about_another):
        monkeypatch.setitem(NAMES, f"here.{known.__name__}", known)
        monkeypatch.setattr(known, "__module__", "lictor.here")
    assert list(lacks(f"here.{function.__name__}")) == lacking


def test_exceptions_are_public_names():
    assert set(EXCEPTIONS) <= set(NAMES)

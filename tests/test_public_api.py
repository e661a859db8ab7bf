"""The public names and their signatures are what public_api.txt says.

To change them on purpose: `python tests/test_public_api.py` writes the file anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("public_api.txt")
PACKAGES = ("lictor.codec", "lictor.entropy", "lictor.kv", "lictor.models")


def described() -> str:
    """Each public name on a line, with its signature, its fields and methods below it."""
    lines = []
    for name in PACKAGES:
        package = import_module(name)
        lines.append(name)
        for public in sorted(package.__all__):
            lines += (f"    {line}" for line in _lines(public, getattr(package, public)))
    return "\n".join(lines) + "\n"


def _lines(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})" if bases else f"class {name}"
        if "__init__" in vars(value):
            yield f"    __init__{_signature(value)}"
        for part, own in sorted(vars(value).items()):
            if not part.startswith("_"):
                yield f"    {_member(part, own)}"
    elif callable(value):
        yield f"{name}{_signature(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def _member(name: str, value: Any) -> str:
    if isinstance(value, property | cached_property):
        return f"{name}: property"
    function = getattr(value, "__func__", value)
    return f"{name}{_signature(function)}" if callable(function) else f"{name} = {value!r}"


def _signature(function: Any) -> str:
    return str(inspect.signature(function))


def test_the_public_api_is_what_the_file_says():
    assert described() == FILE.read_text("utf-8"), (
        "the public API has changed; if that is meant, say so in CHANGELOG.md and run "
        "`python tests/test_public_api.py`"
    )


if __name__ == "__main__":
    FILE.write_text(described(), "utf-8")

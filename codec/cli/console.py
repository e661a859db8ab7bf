"""What commands say: lines above a progress bar, and errors in one line."""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from lictor.codec import inputs
from lictor.codec.errors import CodecError, DeviceUnavailable, InvalidQuality, ModelUnavailable
from lictor.codec.inputs import UsageError
from lictor.codec.runtime.runtime import NO_TORCH

T = TypeVar("T")

_COMMON = (ModelUnavailable, InvalidQuality, DeviceUnavailable)


@contextmanager
def same_for_all_files(errors: tuple[type[CodecError], ...] = _COMMON) -> Iterator[None]:
    """These errors are wrong with the command, not one file; by default of what all files share."""
    try:
        yield
    except errors as e:
        raise UsageError(str(e)) from e


def fail(message: str, status: int) -> int:
    """Say on standard error why a command ends; returns its exit status."""
    if os.environ.get("LICTOR_DEBUG"):
        traceback.print_exc()
    click.echo(message, err=True)
    return status


def without_torch(error: Exception) -> bool:
    """Whether what went wrong is that PyTorch is not here."""
    return isinstance(error, ModuleNotFoundError) and error.name == "torch"


def reason(error: Exception) -> str:
    """What went wrong, in one line."""
    if os.environ.get("LICTOR_DEBUG"):
        traceback.print_exception(error)
    if without_torch(error):
        return NO_TORCH
    if isinstance(error, (CodecError, inputs.CannotWrite)):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller picture or a larger machine"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {text}; please report it with what LICTOR_DEBUG=1 shows"


class Screen:
    """Lines for the user, above a progress bar while there is one."""

    def __init__(self) -> None:
        self._bar: Any = None

    def progress(self, files: Iterable[T], count: int) -> Iterator[T]:
        """What is done for `count` files, with a bar on standard error.

        Only if there are several files and someone can see it.
        """
        if count < 2 or not sys.stderr.isatty():
            yield from files
            return
        from tqdm import tqdm

        with tqdm(files, total=count, unit="file", file=sys.stderr, leave=False) as self._bar:
            yield from self._bar
        self._bar = None

    @contextmanager
    def bar(self, total: int, unit: str) -> Iterator[Callable[[int, str], None]]:
        """A bar on standard error, if someone can see it; told how much is done and what comes."""
        if not sys.stderr.isatty():
            yield lambda count, what: None
            return
        from tqdm import tqdm

        with tqdm(total=total, unit=unit, file=sys.stderr, leave=False) as self._bar:

            def advance(count: int, what: str) -> None:
                if what:
                    self._bar.set_postfix_str(what, refresh=False)
                self._bar.update(count)

            yield advance
        self._bar = None

    def say(self, line: str, *, err: bool = False) -> None:
        """One line on standard output or standard error."""
        if self._bar is None:
            click.echo(line, err=err)
        else:
            self._bar.write(line, file=sys.stderr if err else sys.stdout)

    def say_json(self, row: dict[str, Any]) -> None:
        """One JSON object on standard output; what JSON has no number for becomes null."""
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        self.say(json.dumps(finite))

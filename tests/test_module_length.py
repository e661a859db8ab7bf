"""A module is one idea, which fits in 500 lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("entropy", "models", "codec", "datasets", "training")
MOST = 500

LONGER = {
    "entropy/rans.h": "the coder that C programs take as one header, without a library",
    "entropy/rans_x86.h": "its loops for AVX2 and AVX-512, which one `#if` keeps together",
}
"""Modules that may be longer, and why. May shrink, not grow."""


def _modules() -> Iterator[Path]:
    """What people wrote; tables that a program made are data files, not modules."""
    yield from ROOT.glob("*.py")
    for package, ending in (
        (p, e) for p in PACKAGES for e in ("*.py", "*.pyi", "*.c", "*.h", "*.js")
    ):
        yield from (ROOT / package).rglob(ending)


def test_no_module_is_longer_than_an_idea():
    long = {
        path.relative_to(ROOT).as_posix(): count
        for path in _modules()
        if (count := len(path.read_text("utf-8").splitlines())) > MOST
    }
    new = {path: count for path, count in long.items() if path not in LONGER}
    assert not new, f"split these by what they are about: {new}"
    assert not LONGER.keys() - long.keys(), "these are short now, or gone: take them off LONGER"


def test_every_package_is_looked_at():
    found = {path.relative_to(ROOT).parts[0] for path in _modules()}
    assert found >= {*PACKAGES, "train.py", "setup.py"}

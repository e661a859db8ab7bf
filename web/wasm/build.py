"""Compiles the C code of the codec to WebAssembly: web/src/lictor.wasm.

    pip install ziglang==0.17.1
    python web/wasm/build.py

It is committed, so that nobody needs a compiler to use or change the JavaScript. built.json says
what it was made of; tests/web holds that against the sources. The same sources and compiler give
the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = HERE.parent / "src" / "lictor.wasm"
COMPILER = "ziglang==0.17.1"
UNITS = ("model.c", "linear.c", "photo.c", "screen.c", "overfit.c", "checks.c")
FLAGS = (
    "--target=wasm32-wasi",
    "-mexec-model=reactor",
    "-std=gnu11",
    "-O3",
    "-flto",
    "-msimd128",
    "-fno-sanitize=all",
    "-Wall",
    "-Wextra",
    "-Wno-unused-function",
    "-Wl,--strip-all,--export=malloc,--export=free,-z,stack-size=1048576",
)
GAUSSIAN = ROOT / "entropy" / "gaussian.npz"
STARTS = ROOT / "models" / "overfit" / "starts.npz"


def sources() -> list[Path]:
    """All that is compiled: the units, what they include, and the tables."""
    found: set[Path] = {GAUSSIAN, STARTS, HERE / "build.py"}
    waiting = [HERE / unit for unit in UNITS]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in re.findall(r'^#include "([^"]+)"', path.read_text("utf-8"), re.MULTILINE):
            included = (path.parent / name).resolve()
            if included.exists():  # gaussian.h and starts.h are made here
                waiting.append(included)
    return sorted(found)


def fingerprint() -> dict[str, str]:
    """The SHA-256 of each source."""
    return {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sources()
    }


def gaussian_header() -> str:
    """The tables of entropy/gaussian.npz as C arrays."""
    kinds = {"frequencies": "uint16_t", "lengths": "uint16_t"} | {
        "offsets": "int32_t",
        "shifts": "uint8_t",
    }
    lines = []
    with np.load(GAUSSIAN, allow_pickle=False) as file:
        lines.append(f"enum {{ GAUSSIAN_ENTRIES = {file['frequencies'].size} }};")
        for name, kind in kinds.items():
            values = ", ".join(str(value) for value in file[name].tolist())
            lines.append(f"static const {kind} gaussian_{name}[] = {{{values}}};")
    return "\n".join(lines) + "\n"


def starts_header() -> str:
    """The networks of models/overfit/starts.npz as C arrays of half precision, by size."""
    names, lines = "sml", []
    with np.load(STARTS, allow_pickle=False) as file:
        for name in names:
            values = ", ".join(str(value) for value in file[name].view(np.uint16).ravel().tolist())
            lines.append(f"static const uint16_t starts_{name}[] = {{{values}}};")
        counts = ", ".join(str(len(file[name])) for name in names)
    arrays = ", ".join(f"starts_{name}" for name in names)
    lines.append(f"static const uint16_t *const starts[] = {{{arrays}}};")
    lines.append(f"static const int start_counts[] = {{{counts}}};")
    return "\n".join(lines) + "\n"


def build() -> None:
    """Compile, and note what it was made of."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "gaussian.h").write_text(gaussian_header())
        Path(folder, "starts.h").write_text(starts_header())
        units = [str((HERE / unit).relative_to(ROOT)) for unit in UNITS]
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, f"-I{folder}", *units]
        subprocess.run([*command, "-o", str(OUT)], check=True, cwd=ROOT)
    OUT.chmod(0o644)
    digest = hashlib.sha256(OUT.read_bytes()).hexdigest()
    built = {"compiler": COMPILER, "sha256": digest, "sources": fingerprint()}
    (HERE / "built.json").write_text(json.dumps(built, indent=1) + "\n")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    build()

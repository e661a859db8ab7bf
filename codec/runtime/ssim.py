"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004), by pytorch_msssim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.errors import InvalidTarget

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW = 11
_ROWS = 256
"""Of a strip: all of a large picture at once would take gigabytes."""


def ssim(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean over all windows that are inside and over the channels; 1 for equal.

    a, b: uint8 or uint16 over their full range, (H, W, C).
    Raises InvalidTarget where no window fits.
    """
    import torch
    from pytorch_msssim import ssim as of_strip

    height, width, _ = a.shape
    check_size(width, height)
    places = height - WINDOW + 1
    most, total = float(np.iinfo(a.dtype).max), 0.0
    with torch.inference_mode():
        for top in range(0, places, _ROWS):
            count = min(_ROWS, places - top)
            rows = slice(top, top + count + WINDOW - 1)
            mean = of_strip(_tensor(a[rows]), _tensor(b[rows]), data_range=most)
            total += count * float(mean)
    return total / places


def check_size(width: int, height: int) -> None:
    """Raises InvalidTarget where no window fits."""
    if min(width, height) < WINDOW:
        raise InvalidTarget(
            f"ssim needs pictures of {WINDOW}x{WINDOW} pixels or more, not {width}x{height}; "
            "give another target"
        )


def _tensor(pixels: NDArray[Any]) -> Any:
    """Float (1, C, H, W)."""
    import torch

    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1)[None], np.float32))

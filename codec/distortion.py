"""How far a decoded picture is from its original."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal to noise ratio over all samples.

    Args:
        a: uint8 or uint16, full range, (H, W, C) or any other shape.
        b: the same type and shape.

    Returns:
        dB; infinite if nothing differs.
    """
    import numpy as np

    if not a.size:
        return math.inf
    rows = max(1, 2**22 // a[0].size)  # as floats, all at once would take four times more
    error = 0.0
    for top in range(0, len(a), rows):
        difference = a[top : top + rows].astype(np.float32) - b[top : top + rows]
        error += float(np.square(difference).sum(dtype=np.float64))
    return 10 * math.log10(np.iinfo(a.dtype).max ** 2 * a.size / error) if error else math.inf


def within_a_level(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether the shapes are the same, and no sample differs by more than one level of 255."""
    import numpy as np

    if a.shape != b.shape:
        return False
    return int((np.maximum(a, b) - np.minimum(a, b)).max()) <= np.iinfo(a.dtype).max // 255

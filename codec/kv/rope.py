"""Rotary positions taken out of keys, and put back: what a position turns has no principal axes.

Source: J. Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021
(arXiv:2104.09864), section 3.4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

HALVES, PAIRS = "halves", "pairs"
LAYOUTS = (HALVES, PAIRS)
"""Which dimensions turn together: d and d + half (Llama's), or 2 d and 2 d + 1 (GPT-J's)."""


@dataclass(frozen=True)
class Rope:
    """How keys are turned.

    Attributes:
        frequencies: radians for each token of the dimensions that turn together; those of
            transformers are `model.model.rotary_emb.inv_freq`. Dimensions beyond twice their number
            do not turn.
        layout: one of LAYOUTS.
    """

    frequencies: tuple[float, ...]
    layout: str = HALVES

    @cached_property
    def _each(self) -> npt.NDArray[np.float64]:
        return np.array(self.frequencies)

    def turned(self, rows: F32, dim: int, start: int, back: bool = False) -> F32:
        """Keys of tokens from `start` on, (tokens, heads · dim), turned as at their positions.

        back: turned back, as they were before. A new array.
        """
        count = self._each.size
        angles = np.outer(np.arange(start, start + len(rows)), self._each)
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        sin = -sin if back else sin
        found = rows.copy()
        heads, given = found.reshape(len(rows), -1, dim), rows.reshape(len(rows), -1, dim)
        if self.layout == HALVES:
            one, other = slice(0, count), slice(count, 2 * count)
        else:
            one, other = slice(0, 2 * count, 2), slice(1, 2 * count, 2)
        cos, sin = cos[:, None], sin[:, None]
        a, b = given[..., one], given[..., other]
        heads[..., one] = a * cos - b * sin
        heads[..., other] = a * sin + b * cos
        return found

"""Quality: one number for all of a picture or array, or a map of it; in one unit, everywhere.

Torch is not needed. As networks take it: models/coding/quality.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.models.box import Box

STEPS = 400
"""Quality 0…100 is counted in steps of a quarter."""
PLACE = 16
"""Pixels a side that one value of a map stands for."""


@dataclass(frozen=True, eq=False)
class Quality:
    """How well something is coded.

    Attributes:
        steps: 0…STEPS; or, of a picture where it varies, a map of them, int16 (rows, columns), with
            a value for each PLACE x PLACE pixels.
    """

    steps: int | NDArray[np.int16]

    @classmethod
    def of(cls, number: float) -> Quality:
        """The nearest to a number.

        Args:
            number: 0…100.

        Returns:
            A quality for all alike, a multiple of 0.25.

        Raises:
            ValueError: the number is outside.
        """
        if not 0 <= number <= 100:
            raise ValueError(f"quality is {number!r}, not in 0…100")
        return cls(round(number * STEPS / 100))

    @property
    def map(self) -> NDArray[np.int16] | None:
        """The steps of all places, int16 (rows, columns); None if all are alike."""
        return None if isinstance(self.steps, int) else self.steps

    @property
    def highest(self) -> int:
        """In steps."""
        return self.steps if isinstance(self.steps, int) else int(self.steps.max())

    @property
    def lowest(self) -> int:
        """In steps."""
        return self.steps if isinstance(self.steps, int) else int(self.steps.min())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quality):
            return NotImplemented
        a, b = self.map, other.map
        if a is None or b is None:
            return a is b and self.steps == other.steps
        return a.shape == b.shape and bool((a == b).all())

    def __hash__(self) -> int:
        return hash((self.highest, self.lowest))

    def __float__(self) -> float:
        """As people give it, 0…100, a multiple of 0.25; of a map its highest."""
        return self.highest * 100 / STEPS

    def part(self, places: Box) -> Quality:
        """That of a part of the picture.

        Args:
            places: which, counted in places.

        Returns:
            A view of the map, or itself if all are alike.
        """
        return self if isinstance(self.steps, int) else Quality(self.steps[places.place])

    def fitted(self, rows: int, columns: int) -> Quality:
        """As a map of another size, whose last row and column are left out or repeated.

        Args:
            rows: places that the new map has from top to bottom, at least 1.
            columns: likewise from left to right.

        Returns:
            Another map, or itself if all are alike.
        """
        if isinstance(self.steps, int):
            return self
        import numpy as np

        high, wide = self.steps.shape
        down, across = np.arange(rows).clip(max=high - 1), np.arange(columns).clip(max=wide - 1)
        return Quality(self.steps[np.ix_(down, across)])

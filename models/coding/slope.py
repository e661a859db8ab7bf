"""What quality means: lambda, the bits that a squared error is worth. Needs no torch.

Lambda is in bits per pixel for each unit of the mean squared error, over all samples, on 0…255. A
coder that spends bits where they save more error than that needs, by theory, no larger error than
`water_level` anywhere: a white source of more variance is worth its bits. (Reverse water-filling,
Cover and Thomas, Elements of Information Theory, 10.3.3, with three samples a pixel.)
"""

from __future__ import annotations

LAMBDA_MIN, LAMBDA_OCTAVES = 0.0005, 8
BITS = 26.0
"""12 · 3 / (2 ln 2): the squared step of a uniform quantiser of colours, times lambda."""
BOUND = 1.25
"""No block of a picture may have more than this many times the water level of error."""


def slope(quality: float) -> float:
    """Lambda of quality 0…100."""
    return LAMBDA_MIN * 2.0 ** (LAMBDA_OCTAVES * quality / 100)


def water_level(quality: float) -> float:
    """The mean squared error, on 0…255, beyond which bits would pay."""
    return BITS / (12 * slope(quality))

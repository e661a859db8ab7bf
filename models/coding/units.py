"""Numbers that fix what exact networks compute, for all who compute them. Needs no torch.

models/coding/LATENTS.md says what they mean.
"""

from __future__ import annotations

FRACTION = 12
WEIGHT = 16
"""Bits after the point. On Kodak at quality 0, 10 and 14 cost 0.2 % of rate, these about 0.05 %."""

LIMIT = 2.0**23
"""Activations are clamped to ±LIMIT, 2048 in real units; the float networks stay far below."""
MOST_SUM = 2.0**53
"""Sums of products stay below it: integers that doubles hold."""

SYMBOL_LIMIT = 2.0**20
"""No input comes near; keeps a hostile stream's values inside exact arithmetic."""

ANCHORS = 9
"""Rungs of a ladder, one for each doubling of lambda and the first."""

ORDER = (0, 3, 1, 2)
"""Of the quadtree's steps: diagonal first. The second step sees known places on two sides, the last
on all four."""

PLACES = 4
"""Places of y a side to one of z."""

HALVED_FROM = (75.0, 87.5, 93.75)
"""Qualities from each of which on the steps of smooth latents are half as wide as before, in
pictures of more than 8 bits: a few percent of a photo's rate there, a multiple of it at 0."""

TOO_LARGE = "entropy network weights are too large for exact arithmetic; train with weight decay"

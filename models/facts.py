"""What a codec must know of models that code pictures, in all runtimes alike. Needs no torch."""

from __future__ import annotations

from typing import NamedTuple


class Facts(NamedTuple):
    """As `lictor.models.base.LatentCodec` says."""

    stride: int
    cell: int
    analysis_halo: int
    synthesis_halo: int
    takes_maps: bool = False
    on_ladder: bool = False


def lictor(depth: int) -> Facts:
    """Of a model with so many blocks at each resolution, each of one 3x3 convolution."""
    cell = 16
    reach = -(-depth * (cell + cell // 2) // cell) * cell  # at 1/16 and at 1/8
    # z sees two places of y further.
    return Facts(64, cell, reach + 2 * cell, reach, takes_maps=True, on_ladder=True)


# Convolutions of the front reach 33 pixels, those of g_a two places of y further.
STUDENT = Facts(32, 16, analysis_halo=80, synthesis_halo=32)
STUDENT_VIEW = 224

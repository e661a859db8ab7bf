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


# Two 3x3 convolutions at 1/16 and two at 1/8 reach 48 pixels; z sees two places of y further.
LICTOR = Facts(64, 16, analysis_halo=80, synthesis_halo=48, takes_maps=True, on_ladder=True)

# Convolutions of the front reach 33 pixels, those of g_a two places of y further.
STUDENT = Facts(32, 16, analysis_halo=80, synthesis_halo=32)
STUDENT_VIEW = 224

"""What methods coded of a picture, put together as a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lictor.codec.errors import ModelUnavailable
from lictor.codec.format import colour as signalling
from lictor.codec.format import picture as bitstream
from lictor.codec.format.picture import ALPHA, COLOUR, EXIF, ICC, LATENTS, MAP, Header
from lictor.codec.picture.methods import METHODS

if TYPE_CHECKING:
    from lictor.codec.image.picture import Picture
    from lictor.codec.picture.methods.method import Coded
    from lictor.models.quality import Quality


def file_of(picture: Picture, quality: Quality, coded: Sequence[Coded]) -> bytes:
    """The file of what methods coded of a picture: all of it, between them."""
    height, width, channels = picture.pixels.shape
    made = {part.kind: part for part in coded}
    network = made.pop(LATENTS, None)
    header = Header(
        width=width,
        height=height,
        channels=channels,
        depth=picture.depth,
        mapped=quality.map is not None,
        step=quality.highest,
    )
    codec = network.codec if network else None
    if network and codec:
        header.model_id, header.weights = codec.id, codec.digest[:4]
        header.model_name = "" if codec.id else codec.name
        header.latents = network.checksum
    others = {kind: made[kind].payload for kind in METHODS if kind in made}
    for part in coded:
        others |= part.beside
    others |= _others(picture, header, quality)
    latents, table = (network.payload, network.table) if network else (None, None)
    try:
        return bitstream.write(header, latents, others, table)
    except ValueError as e:  # all but the name was checked before
        name = codec.name if codec else ""
        raise ModelUnavailable(f"{name!r} cannot name a model in a file: {e}") from e


def _others(picture: Picture, header: Header, quality: Quality) -> dict[int, bytes]:
    """The sections beside the latents."""
    from lictor.codec.picture import alpha, metadata

    others = {}
    if quality.map is not None:
        from lictor.codec.picture import quality_map

        others[MAP] = quality_map.pack(quality, header)
    if picture.alpha is not None:
        others[ALPHA] = alpha.pack(picture.alpha)
    for kind, data in ((ICC, picture.icc), (EXIF, picture.exif)):
        if data:
            others[kind] = metadata.pack(data)
    if picture.signalling:
        others[COLOUR] = signalling.pack(picture.signalling)
    return others

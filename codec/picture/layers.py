"""What the methods of a file coded, decoded one over another; and what is lost, painted over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import CorruptFile
from lictor.codec.format.picture import BLOCK
from lictor.codec.picture import salvage as salvaging
from lictor.codec.picture.methods import METHODS
from lictor.codec.picture.methods.method import DecodeOptions, Layer
from lictor.codec.picture.tiles import describe
from lictor.models.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.codec.picture.file import File
    from lictor.codec.picture.reduced import Canvas


def layers(file: File, options: DecodeOptions) -> list[Layer]:
    """Of all methods of a file, the lowest first. Raises CodecError."""
    coded = file.coded
    return [m.layer(file, options) for kind, m in METHODS.items() if kind in coded]


def paint(
    layers: Sequence[Layer], region: Box, out: NDArray[Any], options: DecodeOptions
) -> list[str]:
    """Decode a region into `out`, uint8 or uint16 (H, W, 1 or 3); a line on each tile lost.

    Raises CorruptFile, LatentMismatch; of a file that is salvaged, if nothing can be had.
    """
    notes: list[str] = []
    reasons: list[str] = []
    had = False
    for number, layer in enumerate(layers):
        progress = None if number else options.progress  # one count is enough
        layer.decode(region, out, progress, options.precision)
        shown = layer.tiles(region)
        gone = [n for n in shown if n in layer.lost]
        holes = [hole for n in gone for hole in _holes(layers[:number], layer, n, region)]
        salvaging.fill(out, holes)
        what = "painted over" if holes else "left as what is below it"
        notes += [
            f"the tile {describe(layer.grid.tile(n))} is {what}: {reason}"
            for n, reason in sorted(layer.lost.items())
        ]
        had |= len(gone) < len(shown)
        reasons += [layer.lost[n] for n in gone]
    if not had:
        raise CorruptFile(
            f"nothing can be saved of this picture: {reasons[0]}; get another copy of the file"
        )
    return notes


def paint_reduced(layers: Sequence[Layer], canvas: Canvas, options: DecodeOptions) -> None:
    """As `paint`, reduced, of a file that is not salvaged."""
    for number, layer in enumerate(layers):
        progress = None if number else options.progress
        layer.decode_reduced(canvas, progress, options.precision)


def _holes(below: Sequence[Layer], layer: Layer, number: int, region: Box) -> Iterator[Box]:
    """What nothing is known of where a layer lost a tile, seen from the region."""
    tile = layer.grid.tile(number)
    if layer.blocks is None:
        if not below:
            yield tile.within(region).seen_from(region)
        return
    if any(other.blocks is None for other in below):
        return
    for top in range(tile.top, tile.bottom, BLOCK):
        for left in range(tile.left, tile.right, BLOCK):
            place = top // BLOCK, left // BLOCK
            block = Box(top, left, BLOCK, BLOCK).within(tile).within(region)
            known = any(other.blocks is not None and other.blocks[place] for other in below)
            if layer.blocks[place] and not known and block.height and block.width:
                yield block.seen_from(region)

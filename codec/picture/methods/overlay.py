"""What methods without a network share: they code all blocks of a picture or some, in tiles.

A subclass codes one tile. The section, its mask and table, threads, regions and damage are here.
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lictor.codec.errors import CodecError, CorruptFile, LatentMismatch
from lictor.codec.format import overlay as form
from lictor.codec.format.elements import Bytes
from lictor.codec.format.overlay import Overlay
from lictor.codec.format.picture import BLOCK, MAP, Header, Table, Tile
from lictor.codec.picture.methods.method import Coded, DecodeOptions, Layer, Method, Wanted
from lictor.codec.picture.tiles import Grid, describe
from lictor.codec.runtime.threads import OwnThreads
from lictor.models.box import Box
from lictor.models.quality import PLACE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.codec.picture.file import File
    from lictor.models.progress import Progress
    from lictor.models.quality import Quality


@dataclass(frozen=True)
class Piece:
    """What a tile is, for its encoder and its decoder alike.

    blocks: bool (rows, columns) of its 64x64 pixels, those that are coded; at least one.
    quality: of its places, if it varies.
    """

    height: int
    width: int
    channels: int
    depth: int
    blocks: NDArray[np.bool_]
    quality: Quality


class CodedTile(NamedTuple):
    """What became of a tile.

    checksum: 32 bits, of whatever the decoder must have right.
    bits: float (rows, columns), about what each block takes; None: like shares of the stream.
    samples: what a decoder will have, anything outside the blocks; None: what was given.
    """

    stream: bytes
    checksum: int
    bits: NDArray[Any] | None = None
    samples: NDArray[Any] | None = None


def need(available: bool, error: type[CodecError]) -> None:
    """Raises the error where the C extensions are not."""
    if not available:
        raise error(
            "methods without a network need Lictor's C extensions; install it where there is a C "
            "compiler"
        )


def checked(entry: Tile, stream: Bytes, box: Box) -> None:
    """Raises CorruptFile where the stream of a tile is not the one that its entry tells of."""
    if len(stream) != entry.size or zlib.crc32(stream) != entry.check:
        raise CorruptFile(
            f"the tile {describe(box)} does not match its checksum; get another copy of the "
            "file, or decode the rest with --salvage (salvage=True)"
        )


def same(entry: Tile, checksum: int, box: Box) -> None:
    """Raises LatentMismatch where a tile decodes to something else than its entry says."""
    if checksum != entry.latents:
        raise LatentMismatch(
            f"the file is intact, but the tile {describe(box)} decodes to something else than "
            "was encoded; decode it on the machine that made it, and report this with the file"
        )


class TileMethod(Method):
    """A method that codes tiles, each by itself."""

    @abstractmethod
    def encode_tile(self, colours: NDArray[Any], piece: Piece) -> CodedTile:
        """Code uint8 or uint16 (height, width, 1 or 3).

        What lies outside the blocks is the rest of the picture, which the decoder will not have.
        """

    @abstractmethod
    def decode_tile(self, stream: Bytes, piece: Piece) -> tuple[NDArray[Any], int]:
        """What was encoded; outside the blocks anything. And the checksum.

        Raises CorruptFile. All memory must be bounded by the tile, at most 1024 blocks.
        """

    def encode(self, wanted: Wanted) -> Coded:
        """All of a picture, or some blocks."""
        import numpy as np

        from lictor.codec.picture.tile_threads import workers

        picture, blocks = wanted.picture, wanted.blocks
        height, width, _ = picture.pixels.shape
        grid = Grid.for_picture(width, height)
        if blocks is None:
            blocks = np.ones((-(-height // BLOCK), -(-width // BLOCK)), np.bool_)
        shape = picture.colours.shape[2], picture.depth
        pieces = {
            n: piece
            for n in range(len(grid))
            if (piece := _piece(grid.tile(n), blocks, wanted.quality, shape)).blocks.any()
        }

        def code(number: int) -> CodedTile:
            colours = picture.colours[grid.tile(number).place]
            return self.encode_tile(colours, pieces[number])

        with workers(len(pieces), OwnThreads()) as (pool, _):
            made = [future.result() for future in [pool.submit(code, n) for n in pieces]]
        table = Table(grid.tile_width, grid.tile_height, [form.entry(*one[:2]) for one in made])
        mask = int.from_bytes(np.packbits(blocks, bitorder="little").tobytes(), "little")
        overlay = Overlay(mask, table, b"".join(one[0] for one in made))
        payload = form.write(overlay, Header(width=width, height=height))
        if not wanted.measured:
            return Coded(self.kind, payload)
        bits, samples = np.zeros(blocks.shape), picture.colours.copy()
        for number, one in zip(pieces, made, strict=True):
            box, coded = grid.tile(number), pieces[number].blocks
            share = coded * (8 * len(one.stream) / coded.sum())
            where = box.padded(BLOCK).in_cells(BLOCK).place
            bits[where] = share if one.bits is None else one.bits
            if one.samples is not None:
                samples[box.place] = one.samples
        return Coded(self.kind, payload, bits=bits, samples=samples)

    def layer(self, file: File, options: DecodeOptions) -> Tiles:
        """Parses the table, and the quality map if there is one."""
        import numpy as np

        h = file.header
        overlay = form.parse(h, file.payload(self.kind), whole=not file.salvage)
        rows, columns = -(-h.height // BLOCK), -(-h.width // BLOCK)
        packed = overlay.mask.to_bytes(-(-rows * columns // 8), "little")
        bits = np.unpackbits(
            np.frombuffer(packed, np.uint8), count=rows * columns, bitorder="little"
        )
        quality = h.quality
        if h.mapped:
            from lictor.codec.picture import quality_map

            quality = quality_map.unpack(file.payload(MAP), h)
        return Tiles(self, overlay, file, bits.astype(np.bool_).reshape(rows, columns), quality)

    def table(self, file: File) -> Table:
        """What its section says."""
        return form.parse(file.header, file.payload(self.kind), whole=False).table


class Tiles(Layer):
    """The tiles of a file that a method coded."""

    def __init__(
        self,
        method: TileMethod,
        overlay: Overlay,
        file: File,
        blocks: NDArray[np.bool_],
        quality: Quality,
    ) -> None:
        h = file.header
        every = bool(blocks.all())
        super().__init__(Grid.of_file(h, overlay.table), None if every else blocks)
        self._method, self._salvage = method, file.salvage
        self._streams = overlay.streams_by_tile(h)
        self._all, self._quality = blocks, quality
        self._shape = 1 if h.channels < 3 else 3, h.depth

    def tiles(self, region: Box) -> Collection[int]:
        """Those with a block of the method."""
        return [n for n in self.grid.touching(region) if n in self._streams]

    def pieces(self, region: Box) -> Sequence[Box]:
        """Rows of tiles, those with a block of the method; their tiles are decoded side by side."""
        rows: dict[int, Box] = {}
        for number in self.tiles(region):
            tile = self.grid.tile(number)
            row = Box(tile.top, region.left, tile.height, region.width)
            rows[tile.top] = row.within(region)
        return list(rows.values())

    def decode(
        self, region: Box, out: NDArray[Any], progress: Progress | None, precision: str
    ) -> None:
        """Side by side; each writes its own blocks."""
        from lictor.codec.picture.tile_threads import workers

        shown = self.tiles(region)

        def show(number: int) -> None:
            try:
                self._show(number, region, out)
            except (CorruptFile, LatentMismatch) as e:
                if not self._salvage:
                    raise
                self.lost[number] = str(e).partition(";")[0]

        with workers(len(shown), OwnThreads()) as (pool, _):
            for done, task in enumerate([pool.submit(show, n) for n in shown], 1):
                task.result()
                if progress is not None and len(shown) > 1:
                    progress(done, len(shown))

    def _show(self, number: int, region: Box, out: NDArray[Any]) -> None:
        box = self.grid.tile(number)
        piece = _piece(box, self._all, self._quality, self._shape)
        entry, stream = self._streams[number]
        checked(entry, stream, box)
        found, checksum = self._method.decode_tile(stream, piece)
        same(entry, checksum, box)
        part = box.within(region)
        target, source = out[part.seen_from(region).place], found[part.seen_from(box).place]
        if piece.blocks.all():
            target[...] = source
            return
        inside = piece.blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[part.seen_from(box).place]
        target[inside] = source[inside]


def _piece(box: Box, blocks: NDArray[np.bool_], quality: Quality, shape: tuple[int, int]) -> Piece:
    """Of a tile; blocks and quality: of all of the picture. shape: channels and depth."""
    rows, columns = box.padded(BLOCK).in_cells(BLOCK).place
    places = box.padded(BLOCK).in_cells(PLACE)
    return Piece(box.height, box.width, *shape, blocks[rows, columns], quality.part(places))

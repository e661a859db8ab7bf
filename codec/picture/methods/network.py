"""Coded by a network: latents of all of the picture, in tiles where it is large."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import UnsupportedFeature
from lictor.codec.format import wiener as form
from lictor.codec.format.picture import LATENTS, MAP, WIENER, Table, Tile
from lictor.codec.picture.methods.method import Coded, DecodeOptions, Layer, Method, Wanted
from lictor.codec.picture.tiles import Grid
from lictor.codec.runtime import store
from lictor.models import zoo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.codec.picture import latent
    from lictor.codec.picture.file import File
    from lictor.codec.picture.reduced import Canvas
    from lictor.codec.runtime.store import Place
    from lictor.models.box import Box
    from lictor.models.progress import Progress


class Network(Method):
    """The section LATENTS, with TILES before it where there are several; WIENER after it."""

    kind, name, beside = LATENTS, "network", (WIENER,)

    def encode(self, wanted: Wanted) -> Coded:
        """All of the picture."""
        import numpy as np

        from lictor.codec.picture import latent

        assert wanted.codec is not None and wanted.blocks is None
        height, width, _ = wanted.picture.pixels.shape
        grid = Grid.for_picture(width, height)
        with store.model_errors():
            codec = wanted.codec.for_depth(wanted.picture.depth)
            colours, quality = wanted.picture.colours, wanted.quality
            tiles = latent.encode(colours, grid, codec, quality, wanted.effort, wanted.progress)
        table = _table(grid, tiles) if len(tiles) > 1 else None
        checksum = tiles[0].checksum if table is None else table.checksum
        stream = b"".join(tile.stream for tile in tiles)
        bits, samples = None, None
        # Lambda, which prices errors, is that of the ladder.
        filters = wanted.effort > 0 and codec.on_ladder and codec.loss != zoo.VISIBLE
        if wanted.measured or filters:
            streams = latent.Streams(stream, table, checksum)
            known = [tile.latents for tile in tiles]
            again = latent.Remembered(streams, grid, codec, quality, known)
            bits = latent.bits_of_blocks(again) if wanted.measured else None
            samples = np.empty_like(colours)
            latent.decode(again, grid.picture, samples)
        beside: dict[int, bytes] = {}
        if filters and samples is not None:
            samples, beside = _filtered(samples, wanted)
        expected = sum(tile.expected or 0.0 for tile in tiles) / 8 if wanted.effort else None
        return Coded(self.kind, stream, codec, table, checksum, expected, bits, samples, beside)

    def layer(self, file: File, options: DecodeOptions) -> Latents:
        """Finds the model, and reads the quality map and the filter."""
        wiener, colours = None, 1 if file.header.channels < 3 else 3
        if any(section.kind == WIENER for section in file.sections):
            wiener = form.parse(file.payload(WIENER), colours)
        return Latents(reader(file, options), options.models.places, wiener)

    def table(self, file: File) -> Table | None:
        """Of a large picture."""
        return file.table


class Latents(Layer):
    """reader: of the tiles. places: where weights are looked for. wiener: what filters samples."""

    def __init__(
        self,
        reader: latent.TileReader,
        places: tuple[Place, ...] | None,
        wiener: form.Wiener | None,
    ) -> None:
        super().__init__(reader.grid, lost=reader.lost)
        self.reader, self._places, self._wiener = reader, places, wiener

    def decode(
        self, region: Box, out: NDArray[Any], progress: Progress | None, precision: str
    ) -> None:
        """By the synthesis, and the filter if there is one."""
        from lictor.codec.picture import latent

        if self._wiener is None:
            latent.decode(self.reader, region, out, progress, precision)
            return
        import numpy as np

        from lictor.codec.picture import wiener

        wide = region.grown(wiener.HALO).within(self.grid.picture)
        samples = np.zeros((wide.height, wide.width, out.shape[2]), out.dtype)
        latent.decode(self.reader, wide, samples, progress, precision)
        if not self.lost:  # no filter looks into holes
            samples = wiener.filtered(samples, self._wiener)
        out[...] = samples[region.seen_from(wide).place]

    def decode_reduced(self, canvas: Canvas, progress: Progress | None, precision: str) -> None:
        """By the preview of its weights, if there is one; that needs no filter."""
        from lictor.codec.picture import reduced
        from lictor.models import preview

        codec = self.reader.codec
        with store.model_errors():
            found = preview.find(codec.name, codec.digest, self._places)
        if found is None:
            super().decode_reduced(canvas, progress, precision)
        else:
            reduced.from_latents(self.reader, found, canvas, progress)


def reader(file: File, options: DecodeOptions) -> latent.TileReader:
    """What decodes the latents of a file that has such. Raises ModelUnavailable."""
    from lictor.codec.picture import latent

    h = file.header
    streams = latent.Streams(file.payload(LATENTS), file.table, h.latents)
    grid = Grid.of_file(h, file.table)
    heavy = options.precision != "float32"
    codec = options.models.find(h, options.device, heavy).for_depth(h.depth)
    wanted = h.quality
    if h.mapped:
        from lictor.codec.picture import quality_map

        if not codec.takes_maps:
            raise UnsupportedFeature(
                f"the file has a quality map, which {codec.name} cannot have; install the newest "
                "Lictor"
            )
        with latent.running(grid, codec):
            wanted = quality_map.unpack(file.payload(MAP), h)
    return latent.TileReader(streams, grid, codec, wanted, file.salvage)


def _filtered(samples: NDArray[Any], wanted: Wanted) -> tuple[NDArray[Any], dict[int, bytes]]:
    """Samples as a filter leaves them, and its section, if one pays."""
    import numpy as np

    from lictor.codec.picture import wiener
    from lictor.models.coding.slope import slope
    from lictor.models.quality import PLACE, STEPS

    height, width, _ = samples.shape
    of_steps = np.array([slope(step * 100 / STEPS) for step in range(STEPS + 1)], np.float32)
    worth: NDArray[np.float32] = np.asarray(of_steps[wanted.quality.steps])
    if wanted.quality.map is not None:
        worth = worth.repeat(PLACE, 0).repeat(PLACE, 1)[:height, :width]
    worth = np.broadcast_to(worth, (height, width))
    if wanted.picture.alpha is not None:
        worth = np.where(wanted.picture.alpha > 0, worth, np.float32(0))
    found = wiener.fitted(samples, wanted.picture.colours, worth)
    if found is None:
        return samples, {}
    return found.samples, {WIENER: found.payload}


def _table(grid: Grid, tiles: list[latent.Coded]) -> Table:
    entries = [Tile(len(t.stream), zlib.crc32(t.stream), t.checksum) for t in tiles]
    return Table(grid.tile_width, grid.tile_height, entries)

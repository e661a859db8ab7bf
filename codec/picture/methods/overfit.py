"""Coded by small networks of the picture's own, which the file has beside what they are given.

Everything that a decoder computes is in integers, to the last sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lictor.codec.errors import CorruptFile, LatentMismatch, MissingPackage, UnsupportedFeature
from lictor.codec.format import overlay as form
from lictor.codec.format.overlay import Overlay
from lictor.codec.format.picture import NETWORKS, OVERFIT, Header, Table
from lictor.codec.picture.methods.method import Coded, DecodeOptions, Layer, Method, Wanted
from lictor.codec.picture.methods.overlay import checked, need, same
from lictor.codec.picture.tiles import Grid
from lictor.codec.runtime.threads import OwnThreads
from lictor.models.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.codec.picture.file import File
    from lictor.models.overfit.coder import Grids
    from lictor.models.progress import Progress


class Overfit(Method):
    """The sections OVERFIT and NETWORKS; models/overfit/OVERFIT.md tells of both."""

    kind, name, beside = OVERFIT, "overfit", (NETWORKS,)

    def encode(self, wanted: Wanted) -> Coded:
        """All of the picture: trains, which takes minutes."""
        from lictor.codec.picture import overfit
        from lictor.models.overfit.coder import STREAM_BYTES

        assert wanted.overfit is not None and wanted.blocks is None
        need(_available(), MissingPackage)
        found = overfit.fitted(wanted)
        height, width, _ = wanted.picture.pixels.shape
        entries = [form.entry(tile.stream, tile.checksum) for tile in found.tiles]
        grid = found.grid
        table = Table(grid.tile_width, grid.tile_height, entries)
        header = Header(width=width, height=height)
        streams = b"".join(tile.stream for tile in found.tiles)
        payload = form.write(Overlay(form.everything(header), table, streams), header)
        networks = found.networks.payload()
        fixed = len(payload) - len(streams) + len(grid) * STREAM_BYTES + len(networks)
        expected, beside = found.expected + fixed, {NETWORKS: networks}
        made = Coded(self.kind, payload, expected=expected, beside=beside)
        return overfit.measured(made, found, wanted.picture.colours) if wanted.measured else made

    def layer(self, file: File, options: DecodeOptions) -> Pyramid:
        """Reads the table and the networks."""
        need(_available(), UnsupportedFeature)
        overlay = form.parse(file.header, file.payload(self.kind), whole=not file.salvage)
        if overlay.mask != form.everything(file.header):
            raise CorruptFile(
                "an overfitted picture has left-out blocks; the file is damaged, get another copy "
                "of it"
            )
        return Pyramid(overlay, file)

    def table(self, file: File) -> Table:
        """What its section says."""
        return form.parse(file.header, file.payload(self.kind), whole=False).table


class Pyramid(Layer):
    """The grids and the networks of a file."""

    def __init__(self, overlay: Overlay, file: File) -> None:
        from lictor.entropy import CorruptStream
        from lictor.models.overfit import parameters

        super().__init__(Grid.of_file(file.header, overlay.table))
        self._salvage, self._networks = file.salvage, b""
        self._streams = overlay.streams_by_tile(file.header)
        try:
            self._networks = parameters.read(bytes(file.payload(NETWORKS))).whole()
        except CorruptStream as e:
            raise CorruptFile(f"{e}; get another copy of the file") from e

    def decode(
        self, region: Box, out: NDArray[Any], progress: Progress | None, precision: str
    ) -> None:
        """The grids of all tiles within reach, and then the samples."""
        import numpy as np

        from lictor.codec.picture import overfit
        from lictor.codec.picture.tile_threads import workers
        from lictor.models.overfit import coder, sizes

        near = list(self.grid.touching(region.grown(coder.REACH)))
        first, last = self.grid.tile(near[0]), self.grid.tile(near[-1])
        area = Box(first.top, first.left, last.bottom - first.top, last.right - first.left)
        count = sum(rows * columns for rows, columns in sizes.grid_shapes(*area[2:]))
        symbols = np.zeros(count, np.int8)
        grids = coder.parted(symbols, area[2:])

        def read(number: int) -> None:
            try:
                tile = self._read(number)
            except (CorruptFile, LatentMismatch) as e:
                if not self._salvage:
                    raise
                self.lost[number] = str(e).partition(";")[0]
                return
            overfit.place(tile, grids, self.grid.tile(number).seen_from(area))

        with workers(len(near), OwnThreads()) as (pool, _):
            for done, task in enumerate([pool.submit(read, n) for n in near], 1):
                task.result()
                if progress is not None and len(near) > 1:
                    progress(done, len(near))
        overfit.samples(self._networks, symbols, area[2:], region.seen_from(area), out)

    def _read(self, number: int) -> Grids:
        from lictor.entropy import CorruptStream
        from lictor.models.overfit import coder

        box = self.grid.tile(number)
        entry, stream = self._streams[number]
        checked(entry, stream, box)
        try:
            grids = coder.decode(self._networks, bytes(stream), box[2:])
        except CorruptStream as e:
            raise CorruptFile(f"{e}; get another copy of the file") from e
        same(entry, coder.checksum(grids), box)
        return grids


def _available() -> bool:
    from lictor.models.overfit import coder

    return coder.available()

"""Colours to entropy streams and back, tile by tile.

Pixels stay in the arrays they came in; only the tiles at work exist as floats.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lictor.codec.errors import CorruptFile, LatentMismatch
from lictor.codec.format.elements import Bytes
from lictor.codec.format.picture import BLOCK, Table
from lictor.codec.picture.tile_threads import MOST_SEARCHES, MOST_WORKERS, Steps, workers
from lictor.codec.picture.tiles import Grid, describe
from lictor.codec.runtime import runtime, together
from lictor.codec.runtime.store import model_errors
from lictor.entropy import CorruptStream, Decoder, Encoder
from lictor.models.box import Box
from lictor.models.quality import PLACE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.codec.runtime.runtime import PictureNetwork
    from lictor.models.progress import Progress
    from lictor.models.quality import Quality
Latents: TypeAlias = "NDArray[np.float32]"
"""(C, h, w), a place for each cell of a tile, padded."""

# ---- encoding


@dataclass(frozen=True)
class Coded:
    """What became of a tile.

    expected: after a search, the bits that the model expected of the latents found.
    latents: as a decoder will have them, where the network has them at hand.
    """

    stream: bytes
    checksum: int
    expected: float | None
    latents: Latents | None = None


def encode(
    colours: NDArray[Any],
    grid: Grid,
    codec: PictureNetwork,
    quality: Quality,
    effort: int = 0,
    progress: Progress | None = None,
) -> list[Coded]:
    """The streams of all tiles: colours uint8 or uint16 (H, W, 1 or 3)."""

    def code(number: int, steps: Steps) -> Coded:
        part, tile = _window(colours, grid, number, codec)
        own = part_of(quality, _around(grid, number, codec))
        encoder, expected, latents = Encoder(), None, None
        if effort:
            expected = codec.search(part, own, encoder, effort, _teller(steps, number), tile)
        else:
            call = together.Encode(codec, own, part, encoder, tile)
            latents = together.ask(call) if len(grid) == 1 else call.alone()
        stream = encoder.finish()
        if not effort:
            steps.tell(number, 1, 1)
        # Of many tiles they would hold memory in pieces that nothing else fits between.
        return Coded(stream, encoder.checksum, expected, latents if len(grid) == 1 else None)

    most = MOST_SEARCHES if effort else MOST_WORKERS
    told = progress if effort or len(grid) > 1 else None
    return _for_each_tile(code, grid, codec, told, most)


def estimate(colours: NDArray[Any], grid: Grid, codec: PictureNetwork, quality: Quality) -> float:
    """Bits that the float model expects of all tiles."""

    def measure(number: int, steps: Steps) -> float:
        part, tile = _window(colours, grid, number, codec)
        return codec.estimate(part, part_of(quality, _around(grid, number, codec)), tile)

    return sum(_for_each_tile(measure, grid, codec, None, MOST_WORKERS))


def _teller(steps: Steps, number: int) -> Progress:
    return lambda done, count: steps.tell(number, done, count)


def _for_each_tile(
    work: Callable[[int, Steps], Any],
    grid: Grid,
    codec: PictureNetwork,
    progress: Progress | None,
    most: int,
) -> list[Any]:
    """The results, in order."""
    count, threads = len(grid), codec.runtime.threads
    steps = Steps(count, progress)

    def task(number: int) -> Any:
        with running(grid, codec):
            return work(number, steps)

    with workers(count, threads, most) as (pool, _):
        try:
            return [future.result() for future in [pool.submit(task, n) for n in range(count)]]
        except BaseException:
            steps.stop()
            raise


def _window(
    colours: NDArray[Any], grid: Grid, number: int, codec: PictureNetwork
) -> tuple[NDArray[Any], Box]:
    """The pixels that latents of a tile depend on, and where the tile is in them."""
    tile = grid.tile(number)
    seen = tile.grown(codec.analysis_halo).within(grid.picture)
    return colours[seen.place], tile.seen_from(seen)


def _around(grid: Grid, number: int, codec: PictureNetwork) -> Box:
    """Where the quality that latents of a tile depend on lies."""
    return grid.tile(number).grown(codec.analysis_halo).within(grid.picture.padded(BLOCK))


def part_of(quality: Quality, box: Box) -> Quality:
    """The quality of the places that a box touches."""
    top, left = box.top // PLACE, box.left // PLACE
    return quality.part(
        Box(top, left, -(-box.bottom // PLACE) - top, -(-box.right // PLACE) - left)
    )


# ---- decoding


@dataclass(frozen=True)
class Streams:
    """The entropy-coded tiles of a file; table None for a picture without tiles.

    latents: checksum of all of them, as the header has it.
    """

    data: Bytes
    table: Table | None
    latents: int

    def cut(self) -> list[Bytes]:
        """The streams of all tiles; of one beyond the end of the data, what there is."""
        if self.table is None:
            return [self.data]
        streams, start = [], 0
        for tile in self.table.tiles:
            streams.append(self.data[start : start + tile.size])
            start += tile.size
        return streams


class TileReader:
    """Decodes the latents of tiles.

    lost: the tiles that could not be, with the reason; empty unless `salvage`.
    """

    def __init__(
        self, streams: Streams, grid: Grid, codec: PictureNetwork, quality: Quality, salvage: bool
    ) -> None:
        self.streams, self.grid, self.codec, self.quality = streams.cut(), grid, codec, quality
        self.table, self.checksum = streams.table, streams.latents
        self.salvage = salvage
        self.lost: dict[int, str] = {}

    def latents(self, number: int) -> Latents | None:
        """Of one tile; None if it is lost. Raises CorruptFile or LatentMismatch."""
        try:
            return self._latents(number)
        except (CorruptFile, LatentMismatch) as e:
            if not self.salvage:
                raise
            tile = f"the tile {describe(self.grid.tile(number))}"
            self.lost[number] = str(e).partition(";")[0].replace(tile, "it", 1)
            return None

    def _latents(self, number: int) -> Latents:
        stream, expected, box = self.streams[number], self.checksum, self.grid.tile(number)
        name = "its latents decode"
        if self.table is not None:
            name = f"the latents of the tile {describe(box)} decode"
            entry = self.table.tiles[number]
            expected = entry.latents
            if len(stream) != entry.size or zlib.crc32(stream) != entry.check:
                raise CorruptFile(
                    f"the tile {describe(box)} does not match its checksum; get another copy of "
                    "the file, or decode the rest with --salvage (salvage=True)"
                )
        try:
            decoder = Decoder(stream)
            quality = part_of(self.quality, box.padded(self.codec.stride))
            call = together.Pull(self.codec, quality, (box.height, box.width), decoder)
            latents = together.ask(call) if self.table is None else call.alone()
            decoder.close()
        except CorruptStream as e:
            raise _mismatch(name, str(e)) from e
        if decoder.checksum != expected:
            raise _mismatch(name, f"checksum {decoder.checksum:08x}, not {expected:08x}")
        return latents


class Remembered(TileReader):
    """As another, but what the encoder has, or decoded, it need not decode again."""

    def __init__(
        self,
        streams: Streams,
        grid: Grid,
        codec: PictureNetwork,
        quality: Quality,
        latents: Sequence[Latents | None],
    ) -> None:
        super().__init__(streams, grid, codec, quality, salvage=False)
        self._known = [*latents]

    def _latents(self, number: int) -> Latents:
        known = self._known[number]
        if known is None:
            known = super()._latents(number)
            if self.table is None:
                self._known[number] = known
        return known


def _mismatch(name: str, detail: str) -> LatentMismatch:
    return LatentMismatch(
        f"the file is intact, but {name} to others than were encoded ({detail}); "
        "decode it on the machine that made it, and report this with the file"
    )


def decode(
    reader: TileReader,
    region: Box,
    out: NDArray[Any],
    progress: Progress | None = None,
    precision: str = "float32",
) -> None:
    """Decode the tiles that a region needs, and write its samples into `out`.

    Tiles are synthesised as wholes, in the same windows whatever the region is: its samples are
    those that a decode of everything gives. What a window shows of tiles that the region does not
    depend on is left to chance.

    Args:
        reader: the tiles; those it loses leave `out` as it is.
        region: inside the picture.
        out: uint8 or uint16, of the region's height and width and 1 or 3 channels.
        progress: called as tiles are done, if there are several.
        precision: of the synthesis.
    """
    grid, codec = reader.grid, reader.codec
    shown = list(grid.touching(region))
    wanted = set(grid.touching(region.grown(codec.synthesis_halo)))
    needed = {n: [m for m in grid.touching(_seen(grid, codec, n)) if m in wanted] for n in shown}
    uses = Counter(m for of_one in needed.values() for m in of_one)

    def pull(number: int) -> Latents | None:
        with running(grid, codec):
            return reader.latents(number)

    def show(number: int, pulled: dict[int, Future[Latents | None]]) -> None:
        with running(grid, codec):
            found = {m: t for m, future in pulled.items() if (t := future.result()) is not None}
            if number in found:
                _show(reader, number, found, region, out, precision)

    done = 0

    def finish(task: Future[None]) -> None:
        nonlocal done
        task.result()
        done += 1
        if progress is not None and len(shown) > 1:
            progress(done, len(shown))

    with workers(len(wanted), codec.runtime.threads) as (pool, count):
        # A task waits only for such as were handed in before it, and so have been started.
        pulled: dict[int, Future[Latents | None]] = {}
        waiting: deque[Future[None]] = deque()
        for number in shown:
            for m in needed[number]:
                if m not in pulled:
                    pulled[m] = pool.submit(pull, m)
            waiting.append(pool.submit(show, number, {m: pulled[m] for m in needed[number]}))
            uses.subtract(needed[number])
            for m in needed[number]:
                if not uses[m]:
                    del pulled[m]
            if len(waiting) > 2 * count:  # what was pulled and is not yet shown takes memory
                finish(waiting.popleft())
        for task in waiting:
            finish(task)


def _seen(grid: Grid, codec: PictureNetwork, number: int) -> Box:
    """What the synthesis of a tile sees, in pixels of the padded picture."""
    tile = grid.tile(number).padded(codec.stride)
    return tile.grown(codec.synthesis_halo).within(grid.picture.padded(codec.stride))


def _show(
    reader: TileReader,
    number: int,
    found: dict[int, Latents],
    region: Box,
    out: NDArray[Any],
    precision: str,
) -> None:
    """Write the samples of a tile, as far as the region goes."""
    tile, seen = reader.grid.tile(number), _seen(reader.grid, reader.codec, number)
    part = tile.within(region)
    latents, quality = _surrounded(reader, number, found), part_of(reader.quality, seen)
    place = part.seen_from(seen)
    call = together.Show(reader.codec, quality, latents, place, out, precision)
    shown = together.ask(call) if reader.table is None else call.alone()
    out[part.seen_from(region).place] = shown


def _surrounded(reader: TileReader, number: int, found: dict[int, Latents]) -> Latents:
    """The latents of a tile with those around it; where some are missing, its own outermost."""
    grid, codec = reader.grid, reader.codec
    seen, own = _seen(grid, codec, number), found[number]
    core = grid.tile(number).seen_from(seen).in_cells(codec.cell)
    width, height = seen.width // codec.cell, seen.height // codec.cell
    if own.shape[1:] == (height, width):
        return own
    below, right = height - core.top - own.shape[1], width - core.left - own.shape[2]
    beyond = ((0, 0), (core.top, below), (core.left, right))
    order = np.argsort(own.strides)[::-1]  # of the axes in memory, which stays as it is
    latents = np.pad(own.transpose(order), [beyond[axis] for axis in order], mode="edge")
    latents = latents.transpose(np.argsort(order))
    for other in found.keys() - {number}:
        box = grid.tile(other).padded(codec.stride)
        shared = box.within(seen)
        into, of = (shared.seen_from(frame).in_cells(codec.cell).place for frame in (seen, box))
        latents[:, *into] = found[other][:, *of]
    return latents


def bits_of_blocks(reader: TileReader) -> NDArray[np.float64]:
    """About what each block of 64x64 takes of the streams, float64 (rows, columns).

    A stream has as many bits as it has; blocks have shares of it by the logarithms of their
    latents.
    """
    grid, cells = reader.grid, BLOCK // reader.codec.cell
    whole = grid.picture.padded(BLOCK).in_cells(BLOCK)
    found = np.zeros((whole.height, whole.width))
    for number, stream in enumerate(reader.streams):
        with running(grid, reader.codec):
            latents = reader.latents(number)
        assert latents is not None  # nothing is lost but in salvage
        sizes = np.log1p(np.abs(latents)).sum(axis=0, dtype=np.float64)
        shape = len(sizes) // cells, cells, -1, cells
        mean = sizes.reshape(shape).mean(axis=(1, 3))
        shares = mean + mean.mean() / 64 + 1e-9  # a little for all, for where all latents are 0
        where = grid.tile(number).padded(BLOCK).in_cells(BLOCK).place
        found[where] = shares * (8 * len(stream) / shares.sum())
    return found


@contextmanager
def running(grid: Grid, codec: PictureNetwork) -> Iterator[None]:
    """A network runs in here, and what goes wrong in it has a name."""
    with runtime.enough_memory(grid.width, grid.height), codec.runtime.working(), model_errors():
        yield

"""Training from shards of Lictor pictures: tars of .bin or .lictor files, decoded as they are read.

    data = Stream("shards/000{0..7}.tar", reduce=2, shuffle=1000)
    loader = DataLoader(data, batch_size=None, num_workers=2)

Shards are those that `lictor bulk` and webdataset write: files that follow one another and share
their name are a sample. What is read and in which order follows from seed, epoch and share alone.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from lictor.codec.bulk import tars
from lictor.codec.bulk.samples import Piece, Sample, Wanted
from lictor.codec.errors import CodecError
from lictor.codec.format.names import SUFFIXES
from lictor.datasets.pictures import sources

PICTURE, KEY = "picture", "__key__"
_WANTED = Wanted(frozenset(SUFFIXES))


@dataclass(frozen=True)
class Decoder:
    """A file's bytes to its pixels, uint8 or uint16 (H, W, C).

    It is also what `webdataset.WebDataset(…).decode(Decoder())` takes.

    reduce: as for `lictor.codec.decode`. region: likewise, or what gives one for (width, height).
    """

    reduce: int = 1
    region: Callable[[int, int], tuple[int, int, int, int]] | None = None

    def pixels(self, data: bytes) -> Any:
        """Raises CodecError."""
        from lictor.codec import decode_picture
        from lictor.codec.picture.outline import outline

        region = None
        if self.region is not None:
            header = outline(data).header
            region = self.region(header.width, header.height)
        return decode_picture(data, reduce=self.reduce, region=region).pixels

    def __call__(self, key: str, data: bytes) -> Any:
        """As webdataset calls it: None for files of other kinds. Raises CodecError."""
        return self.pixels(data) if _WANTED.takes(f"a.{key.rpartition('.')[2]}") else None


class Stream(IterableDataset):
    """Samples of shards: dicts of "__key__", "picture" and the bytes of each other file, by suffix.

    A picture that is damaged is named on standard error and left out.

    Args:
        shards: paths, or one text as `lictor train` takes it: {000..003}, * and ?, commas between.
        reduce: as for `Decoder`.
        region: likewise.
        shuffle: how many samples wait, not decoded, for one to be drawn of; 0: in order. Shards are
            shuffled, too, unless it is 0.
        seed: of the order.
        share: (number, count) of what this process reads; None: what torchrun says by RANK and
            WORLD_SIZE. Workers of a DataLoader share it further.

    Raises:
        ValueError, OSError: there are no such shards.
    """

    def __init__(
        self,
        shards: str | Iterable[str | os.PathLike[str]],
        *,
        reduce: int = 1,
        region: Callable[[int, int], tuple[int, int, int, int]] | None = None,
        shuffle: int = 0,
        seed: int = 0,
        share: tuple[int, int] | None = None,
    ) -> None:
        named = sources(shards) if isinstance(shards, str) else None
        self.shards = (
            [os.fspath(s) for s in shards]
            if named is None
            else [str(source.path) for source in named]
        )
        if not self.shards:
            raise ValueError("no shards are named; give paths of tars")
        self.decoder, self.shuffle, self.seed = Decoder(reduce, region), shuffle, seed
        ranks = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        self.share = share or (int(ranks[0]), int(ranks[1]))
        self.epoch = self._taken = 0

    def state_dict(self) -> dict[str, int]:
        """Where this process, or worker, is; torchdata's StatefulDataLoader asks each for it."""
        return {"epoch": self.epoch, "taken": self._taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next iteration goes on from there. What was taken is read again, but not decoded."""
        self.epoch, self._taken = state["epoch"], state["taken"]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """One epoch, or what is left of it; the next iteration is the next."""
        for number, sample in enumerate(self._drawn()):
            if number < self._taken:
                continue
            self._taken = number + 1
            found = self._decoded(sample)
            if found is not None:
                yield found
        self.epoch, self._taken = self.epoch + 1, 0

    def _drawn(self) -> Iterator[Sample]:
        """Samples of this share, in the order of this epoch."""
        (rank, ranks), worker = self.share, get_worker_info()
        number, count = rank, ranks
        if worker is not None:
            number, count = rank * worker.num_workers + worker.id, ranks * worker.num_workers
        shards = list(self.shards)
        if self.shuffle:
            random.Random(f"{self.seed} {self.epoch}").shuffle(shards)
        if len(shards) >= count:
            own: Iterator[Sample] = self._samples(shards[number::count])
        else:  # all read all, and each takes its part
            own = (s for n, s in enumerate(self._samples(shards)) if n % count == number)
        return self._shuffled(own, random.Random(f"{self.seed} {self.epoch} {number}"))

    def _samples(self, shards: Iterable[str]) -> Iterator[Sample]:
        for path in shards:
            for sample in tars.read(Piece("tar", path), _WANTED):
                if any(member.coded for member in sample.members):
                    yield sample

    def _shuffled(self, samples: Iterator[Sample], draw: random.Random) -> Iterator[Sample]:
        waiting: list[Sample] = []
        for sample in samples:
            if len(waiting) < self.shuffle:
                waiting.append(sample)
                continue
            if not waiting:
                yield sample
                continue
            place = draw.randrange(len(waiting))
            yield waiting[place]
            waiting[place] = sample
        draw.shuffle(waiting)
        yield from waiting

    def _decoded(self, sample: Sample) -> dict[str, Any] | None:
        """None of what is damaged."""
        found: dict[str, Any] = {}
        for member in sample.members:
            name = os.path.basename(member.name)
            stem, _, suffix = name.partition(".")
            found[KEY] = member.name[: len(member.name) - len(name)] + stem
            if not member.coded:
                found[suffix] = member.data
                continue
            try:
                found[PICTURE] = self.decoder.pixels(member.data)
            except CodecError as error:
                print(f"{member.name}: skipped, {error}", file=sys.stderr)
                return None
        return found

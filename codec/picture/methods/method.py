"""What every method answers that codes the samples of a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from lictor.codec.format.picture import Table
from lictor.codec.picture.tiles import Grid
from lictor.codec.runtime import store
from lictor.codec.runtime.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture.file import File
    from lictor.codec.picture.reduced import Canvas
    from lictor.codec.runtime.runtime import PictureNetwork
    from lictor.models.box import Box
    from lictor.models.overfit.sizes import Size
    from lictor.models.progress import Progress, Stop
    from lictor.models.quality import Quality

Region = tuple[int, int, int, int]


@dataclass(frozen=True)
class DecodeOptions:
    """How to decode: the arguments of `lictor.codec.decode`, which says what they are."""

    region: Region | None = None
    salvage: bool = False
    progress: Progress | None = None
    precision: str = "float32"
    device: str = "cpu"
    models: Store = store.DEFAULT
    reduce: int = 1


@dataclass(frozen=True)
class Wanted:
    """What a method is to code.

    codec: the network, for the method that needs one.
    blocks: bool (rows, columns) of 64x64 pixels, those to be coded; None: all.
    measured: the result is to have bits and samples.
    overfit: the size of the networks, for the method that trains them. stop: for the same one.
    """

    picture: Picture
    quality: Quality
    codec: PictureNetwork | None = None
    effort: int = 0
    progress: Progress | None = None
    blocks: NDArray[np.bool_] | None = None
    measured: bool = False
    overfit: Size | None = None
    stop: Stop | None = None


@dataclass(frozen=True, eq=False)
class Coded:
    """What a method made of a picture.

    payload: of its section.
    codec: the network that made it, if one did; then the header tells of it, and table and
        checksum are those of the latents.
    expected: after a search, the bytes that the network expected of the latents found.
    bits: float64 (rows, columns), about what each block takes, if that was to be measured; 0 where
        it is not coded.
    samples: likewise, what it decodes to, uint8 or uint16 (H, W, 1 or 3); anything where it is not
        coded.
    beside: payloads of further sections, by their kinds.
    """

    kind: int
    payload: bytes
    codec: PictureNetwork | None = None
    table: Table | None = None
    checksum: int = 0
    expected: float | None = None
    bits: NDArray[np.float64] | None = None
    samples: NDArray[Any] | None = None
    beside: Mapping[int, bytes] = field(default_factory=dict)


@dataclass
class Layer(ABC):
    """What of a picture one method coded, ready to be decoded.

    grid: its tiles.
    blocks: bool (rows, columns) of 64x64 pixels, those that it codes; None: all.
    lost: tiles that could not be decoded, with the reason; empty unless the file is salvaged.
    """

    grid: Grid
    blocks: NDArray[np.bool_] | None = None
    lost: dict[int, str] = field(default_factory=dict)

    @abstractmethod
    def decode(
        self, region: Box, out: NDArray[Any], progress: Progress | None, precision: str
    ) -> None:
        """Write the samples of its blocks in a region over those of `out`.

        Args:
            region: inside the picture.
            out: uint8 or uint16, of the region's height and width and 1 or 3 channels. What is not
                coded by this method, or lost, stays as it is.
            progress: called as tiles are done, if there are several.
            precision: of networks.
        """

    def decode_reduced(self, canvas: Canvas, progress: Progress | None, precision: str) -> None:
        """As `decode`, but means of squares; unless a method knows better, of all samples."""
        import numpy as np

        pieces, out = self.pieces(canvas.region), canvas.out
        for done, part in enumerate(pieces, 1):
            whole = np.empty((part.height, part.width, out.shape[2]), out.dtype)
            self.decode(part, whole, progress if len(pieces) == 1 else None, precision)
            canvas.put(whole, part, self.blocks)
            if progress is not None and len(pieces) > 1:
                progress(done, len(pieces))

    def pieces(self, region: Box) -> Sequence[Box]:
        """Parts of a region that can be decoded one after another and cost no more than it."""
        return [region]

    def tiles(self, region: Box) -> Collection[int]:
        """Those that have pixels in a region."""
        return list(self.grid.touching(region))


class Method(ABC):
    """A way to code samples.

    kind: of its section. beside: of further sections of its own. name: what `info` calls it.
    """

    kind: ClassVar[int]
    beside: ClassVar[tuple[int, ...]] = ()
    name: ClassVar[str]

    @abstractmethod
    def encode(self, wanted: Wanted) -> Coded:
        """Code a picture, or some of its blocks. Raises CodecError."""

    @abstractmethod
    def layer(self, file: File, options: DecodeOptions) -> Layer:
        """What it coded of a file that has its section. Raises CodecError."""

    @abstractmethod
    def table(self, file: File) -> Table | None:
        """The tiles in which it coded a file; None for one piece. Raises CorruptFile."""

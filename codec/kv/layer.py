"""The keys and values of one layer in one chunk, to bytes and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.arrays import ITEM_BYTES, block
from lictor.codec.format.picture import Bytes, Reader, Writer
from lictor.codec.kv import form, ways
from lictor.codec.kv.calibration import Calibration
from lictor.codec.kv.form import Header
from lictor.codec.kv.ways import Place, Uncodable, Way
from lictor.entropy import CorruptStream, Decoder, Encoder

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class Rows:
    """Which rows of a layer: so many from a token of the cache on, some at either end exact."""

    layer: int
    at: int
    tokens: int
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Layers:
    """What codes the layers of a stream.

    Attributes:
        header: of the stream. calibration: that it names; None if it names none.
    """

    header: Header
    calibration: Calibration | None = None

    @cached_property
    def _exact(self) -> Way:
        if self.calibration is not None and self.calibration.dtype == self.header.dtype:
            return ways.Exact(
                self.header.dtype, [(k.bits, v.bits) for k, v in self.calibration.layers]
            )
        if self.header.models:
            return ways.Exact(self.header.dtype, self.header.models)
        return ways.Plain(self.header.dtype)

    @cached_property
    def way(self) -> Way:
        """Of the rows that are not exact."""
        if self.header.way == form.EXACT:
            return self._exact
        return ways.chosen(self.header, self.calibration)

    def encode(self, pair: Pair, rows: Rows) -> tuple[int, bytes]:
        """How, and the payload, no longer than what it holds. pair: (tokens, heads, dim) each."""
        raw = b"".join(ways.packed(m) for m in pair)
        encoder, aside = Encoder(), Writer()
        try:
            for side, matrix in enumerate(pair):
                flat = matrix.reshape(len(matrix), -1)
                for way, part, place in self._parts(rows, side, matrix.shape[2]):
                    way.push(encoder, aside, flat[part], place)
        except Uncodable:
            return form.RAW, raw
        stream = encoder.finish()
        io = Writer()
        io.raw("checksum", encoder.checksum.to_bytes(4, "little"), 4)
        block(io, "part aside", bytes(aside.data))
        io.raw("stream", stream, len(stream))
        payload = bytes(io.data)
        return (form.CODED, payload) if len(payload) < len(raw) else (form.RAW, raw)

    def decode(self, how: int, payload: Bytes, rows: Rows) -> Pair:
        """The keys and values. Raises CorruptFile."""
        kh, kd, vh, vd = self.header.sizes[rows.layer]
        shapes = ((rows.tokens, kh, kd), (rows.tokens, vh, vd))
        if how == form.RAW:
            return self._raw(payload, shapes)
        io = Reader(payload)
        checksum = int.from_bytes(io.raw("checksum", b"", 4), "little")
        aside = Reader(block(io, "part aside", b""))
        try:
            decoder = Decoder(io.rest())
            pair = [self._side(decoder, aside, rows, i, shape) for i, shape in enumerate(shapes)]
            decoder.close()
        except CorruptStream as e:
            raise CorruptFile(f"a layer of a chunk is damaged: {e}") from e
        if decoder.checksum != checksum or len(aside.rest()):
            raise CorruptFile(
                "a layer of a chunk does not decode to what was encoded; get another copy of it"
            )
        return pair[0], pair[1]

    def _raw(self, payload: Bytes, shapes: tuple[tuple[int, int, int], ...]) -> Pair:
        sizes = [t * h * d * ITEM_BYTES[self.header.dtype] for t, h, d in shapes]
        if len(payload) != sum(sizes):
            raise CorruptFile("a layer that is kept as it is has another size; get another copy")
        keys, values = payload[: sizes[0]], payload[sizes[0] :]
        dtype = self.header.dtype
        return ways.unpacked(keys, dtype, shapes[0]), ways.unpacked(values, dtype, shapes[1])

    def _side(
        self, decoder: Decoder, aside: Reader, rows: Rows, side: int, shape: tuple[int, int, int]
    ) -> npt.NDArray[Any]:
        columns = shape[1] * shape[2]
        found = [
            way.pull(decoder, aside, part.stop - part.start, columns, place)
            for way, part, place in self._parts(rows, side, shape[2])
        ]
        return (found[0] if len(found) == 1 else np.concatenate(found)).reshape(shape)

    def _parts(self, rows: Rows, side: int, dim: int) -> list[tuple[Way, slice, Place]]:
        """Rows that are kept, those between, and those kept at the end; none that are empty."""
        start = self.header.start + rows.at
        ends = (0, rows.first, rows.tokens - rows.last, rows.tokens)
        each = zip((self._exact, self.way, self._exact), ends, ends[1:], strict=False)
        return [
            (way, slice(a, b), Place(rows.layer, side, start + a, dim))
            for way, a, b in each
            if b > a
        ]

    def errors(self, pair: Pair, back: Pair, rows: Rows) -> tuple[float, float, float, float]:
        """Sums of squared errors and of squared values, the largest error, expected divergence.

        back: what decodes; `pair` itself where it is kept as it is, whatever its values are.
        """
        error = power = largest = expected = 0.0
        for side, (one, other) in enumerate(zip(pair, back, strict=True)):
            a, b = (ways.to_float32(self.header.dtype, m) for m in (one, other))
            known = np.where(np.isfinite(a), a, 0)
            power += float(np.square(known, dtype=np.float64).sum())
            if one.tobytes() == other.tobytes():
                continue
            with np.errstate(all="ignore"):
                gone = np.abs(b.astype(np.float64) - a)
            error += float(np.square(gone).sum())
            largest = max(largest, float(gone.max()))
            part = slice(rows.first, rows.tokens - rows.last)
            flat, again = (m.reshape(len(m), -1)[part] for m in (one, other))
            position = self.header.start + rows.at + rows.first
            place = Place(rows.layer, side, position, one.shape[2])
            expected += self.way.divergence(flat, again, place)
        return error, power, largest, expected

"""The entropy coders of other packages, as contestants of `lictor bench entropy`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lictor.codec.bench.entropy_workloads import Array, Coder, Workload, ideal_bits
from lictor.entropy import SCALES, gaussian_sigmas


def compressai(work: Workload) -> Iterator[tuple[str, Coder]]:
    """CompressAI's rANS through its lists, and through GaussianConditional."""
    import torch
    from compressai import ans
    from compressai.entropy_models import GaussianConditional

    conditional = GaussianConditional(gaussian_sigmas().tolist())
    conditional.update()
    cdfs = conditional.quantized_cdf.tolist()
    lengths = conditional.cdf_length.reshape(-1).int().tolist()
    offsets = conditional.offset.reshape(-1).int().tolist()
    symbols, index = work.symbols.tolist(), work.index.tolist()
    coder, reader = ans.RansEncoder(), ans.RansDecoder()

    def decode(data: bytes) -> Array:
        return reader.decode_with_indexes(data, index, cdfs, lengths, offsets)

    yield (
        "compressai.ans",
        Coder(
            work,
            lambda: coder.encode_with_indexes(symbols, index, cdfs, lengths, offsets),
            decode,
            len,
            "calls with lists made beforehand, decoding gives a list",
            "compressai",
        ),
    )
    values = torch.from_numpy(work.symbols).float().reshape(1, 1, -1)
    indexes = torch.from_numpy(work.index).int().reshape(1, 1, -1)
    yield (
        "compressai.gaussian_conditional",
        Coder(
            work,
            lambda: conditional.compress(values, indexes),
            lambda data: conditional.decompress(data, indexes).reshape(-1).int().numpy(),
            lambda data: sum(map(len, data)),
            "compress() and decompress() of tensors",
            "compressai",
        ),
    )


def constriction(work: Workload) -> Iterator[tuple[str, Coder]]:
    """constriction: a Gaussian for each symbol, and a table for each group of symbols."""
    from constriction import stream

    some = work.first(1_000_000)
    limit = int(np.abs(some.symbols).max()) + 1
    gaussian = stream.model.QuantizedGaussian(-limit, limit)
    mean, sigma = np.zeros(some.symbols.size), gaussian_sigmas()[some.index]

    def encode_stack() -> Array:
        coder = stream.stack.AnsCoder()
        coder.encode_reverse(some.symbols, gaussian, mean, sigma)
        return coder.get_compressed()

    def encode_queue() -> Array:
        coder = stream.queue.RangeEncoder()
        coder.encode(some.symbols, gaussian, mean, sigma)
        return coder.get_compressed()

    def coder(encode: Callable[[], Array], decoder: Any) -> Coder:
        return Coder(
            some,
            encode,
            lambda data: decoder(data).decode(gaussian, mean, sigma),
            _nbytes,
            "calls with means and sigmas made beforehand",
            "constriction",
        )

    yield "constriction.ans.gaussian", coder(encode_stack, stream.stack.AnsCoder)
    yield "constriction.range.gaussian", coder(encode_queue, stream.queue.RangeDecoder)
    grouped = _Grouped(work)
    for kind in ("range", "ans"):
        yield f"constriction.{kind}.grouped", grouped.coder(kind, sort=True)
        yield f"constriction.{kind}.grouped.presorted", grouped.coder(kind, sort=False)


class _Grouped:
    """constriction with one call for each table: symbols sorted by table, and put back after."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        self.tables = np.unique(work.index)
        self.counts = np.bincount(work.index)[self.tables].tolist()
        self.models, self.lows = [], []
        for table in self.tables:
            mine = work.symbols[work.index == table]
            bound = max(int(np.ceil(8 * gaussian_sigmas()[table])) + 1, int(np.abs(mine).max()))
            values = np.arange(-bound, bound + 1)
            weights = np.exp2(-ideal_bits(values, np.full(values.size, table)))
            self.models.append(self._model(np.maximum(weights, 1e-12)))
            self.lows.append(-bound)
        self.order = self._order()
        self.sorted = work.symbols[self.order]

    @staticmethod
    def _model(weights: Array) -> Any:
        from constriction import stream

        return stream.model.Categorical(weights / weights.sum(), perfect=False)

    def _order(self) -> Array:
        return np.argsort(self.work.index, kind="stable")  # a radix sort

    def coder(self, kind: str, sort: bool) -> Coder:
        """`sort`: whether sorting by table and restoring the order are part of the work."""
        from constriction import stream

        ends = np.cumsum(self.counts).tolist()
        groups = list(zip(self.models, self.lows, self.counts, ends, strict=True))
        queue = kind == "range"

        def encode() -> Array:
            symbols = self.work.symbols[self._order()] if sort else self.sorted
            coder = stream.queue.RangeEncoder() if queue else stream.stack.AnsCoder()
            write = coder.encode if queue else coder.encode_reverse
            for model, low, count, end in groups if queue else reversed(groups):
                write(symbols[end - count : end] - low, model)
            return coder.get_compressed()

        def decode(data: Array) -> Array:
            coder = stream.queue.RangeDecoder(data) if queue else stream.stack.AnsCoder(data)
            parts = [coder.decode(model, count) + low for model, low, count, _ in groups]
            symbols = np.concatenate(parts)
            if not sort:
                return symbols
            out = np.empty_like(symbols)
            out[self._order()] = symbols
            return out

        work = self.work if sort else Workload("", self.sorted, self.work.index, self.work.bits)
        counted = (
            "sorting symbols by table and putting them back, besides the calls"
            if sort
            else "the calls only; symbols are sorted by table beforehand and stay so"
        )
        return Coder(work, encode, decode, _nbytes, counted, "constriction")


def torchac(work: Workload) -> Iterator[tuple[str, Coder]]:
    """torchac, which wants a row of the cumulative distribution for each symbol."""
    import torch

    with _no_output():  # it compiles itself on the first import, and says so
        import torchac as package

    some = work.first(20_000)
    bound = int(np.abs(some.symbols).max()) + 1
    values = np.arange(-bound, bound + 1)
    rows = []
    for table in range(SCALES):
        pmf = np.exp2(-ideal_bits(values, np.full(values.size, table)))
        # Every symbol must keep at least one step of 2^-16.
        pmf = (1 - values.size * 2.0**-15) * pmf / pmf.sum() + 2.0**-15
        cumulative = np.round(np.append(0, np.cumsum(pmf)) * 65536).astype(np.int64)
        rows.append(np.minimum(cumulative, 65536).astype(np.uint16).view(np.int16))
    table_rows = torch.from_numpy(np.stack(rows))
    index = torch.from_numpy(some.index.astype(np.int64))
    symbols = torch.from_numpy((some.symbols + bound).astype(np.int16))
    yield (
        "torchac",
        Coder(
            some,
            lambda: package.encode_int16_normalized_cdf(table_rows[index], symbols),
            lambda data: (
                package.decode_int16_normalized_cdf(table_rows[index], data).numpy() - bound
            ),
            len,
            "calls, and gathering a row for each symbol",
            "torchac",
        ),
    )


PEERS: tuple[Callable[[Workload], Iterator[tuple[str, Coder]]], ...] = (
    compressai,
    constriction,
    torchac,
)


def _nbytes(array: Array) -> int:
    return int(array.nbytes)


@contextmanager
def _no_output() -> Iterator[None]:
    """What compilers print to file descriptor 1 would spoil a report."""
    sys.stdout.flush()
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)

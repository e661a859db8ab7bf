"""Integers in, bytes out: interleaved rANS with adaptive integer tables, in numpy and C.

`compress` and `decompress` do it at one go. `Encoder.push` takes symbols and the table of each,
`Encoder.finish` gives the bytes; `Decoder.pull` and `Decoder.close` are the way back. `Tables`
holds the probabilities as integers, `gaussian_tables()` the family that the models use. `SymbolIo`
is either way, so that the order of symbols is written once: `Push`, `Pull`, or `Price`, which only
counts. The stream is described in STREAM.md. This package never imports torch.
"""

from lictor.entropy.coder import Decoder, Encoder, backend, compress, decompress, paths
from lictor.entropy.errors import CorruptStream
from lictor.entropy.gaussian import (
    FINE_OCTAVES,
    GAUSSIAN_SCALE_MIN,
    SCALES,
    SCALES_PER_OCTAVE,
    gaussian_sigmas,
    gaussian_tables,
)
from lictor.entropy.symbol_io import Price, Pull, Push, SymbolIo
from lictor.entropy.tables import Tables

__all__ = [
    "FINE_OCTAVES",
    "GAUSSIAN_SCALE_MIN",
    "SCALES",
    "SCALES_PER_OCTAVE",
    "CorruptStream",
    "Decoder",
    "Encoder",
    "Price",
    "Pull",
    "Push",
    "SymbolIo",
    "Tables",
    "backend",
    "compress",
    "decompress",
    "gaussian_sigmas",
    "gaussian_tables",
    "paths",
]

import hashlib
import math
import pickle

import numpy as np
import pytest

from lictor.entropy import Decoder, Encoder, Tables
from lictor.entropy.pmf import TOTAL, quantise

GOOD = [8192, 8191, 1]


def test_arrays_rebuild_the_tables(mixed):
    again = Tables(mixed.frequencies, mixed.lengths, mixed.offsets, mixed.shifts)
    assert again == mixed and hash(again) == hash(mixed) and again.digest() == mixed.digest()
    assert pickle.loads(pickle.dumps(mixed)) == mixed
    assert len(mixed) == 5
    assert mixed.row(1).tolist() == [8192, 8192, 0]
    assert (mixed.frequencies.dtype, mixed.lengths.dtype) == (np.uint16, np.uint16)
    assert (mixed.offsets.dtype, mixed.shifts.dtype) == (np.int32, np.uint8)


def test_arrays_are_read_only(mixed):
    for array in (mixed.frequencies, mixed.lengths, mixed.offsets, mixed.shifts, mixed.row(0)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_arrays_are_copies():
    freqs = np.array(GOOD)
    tables = Tables(freqs, [3], [0])
    freqs[0] = 0
    assert tables.row(0).tolist() == GOOD


def test_digest_is_stable():
    """Checkpoints name tables by it."""
    tables = Tables.from_frequencies([GOOD, [TOTAL, 0]], [-1, 3], [0, 2])
    expected = b"lictor tables, 2\n" + np.array([3, 2], "<u2").tobytes()
    expected += np.array([-1, 3], "<i4").tobytes() + bytes([0, 2])
    expected += np.array([*GOOD, TOTAL, 0], "<u2").tobytes()
    assert tables.digest() == hashlib.sha256(expected).digest()


@pytest.mark.parametrize("change", ["frequencies", "offsets", "shifts"])
def test_different_tables_differ(change):
    base = {"frequencies": [GOOD], "offsets": [0], "shifts": [0]}
    other = base | {change: [[8191, 8192, 1]] if change == "frequencies" else [1]}
    assert Tables.from_frequencies(**base) != Tables.from_frequencies(**other)


@pytest.mark.parametrize(
    "rows, offsets, shifts, words",
    [
        ([], [], 0, "0 tables given"),
        ([GOOD] * 257, 0, 0, "257 tables given"),
        ([[TOTAL]], 0, 0, "table 0 has 1 entries"),
        ([[64] * 256 + [0]], 0, 0, "table 0 has 257 entries.*shift or by escapes"),
        ([GOOD, [8192, 0, 8192]], 0, 0, "table 1 has a symbol of frequency 0"),
        ([[8192, 8192, 1]], 0, 0, "do not add up to 16384"),
        ([[8192, -1, 8193]], 0, 0, "holds a value outside"),
        ([[0.5, 0.5]], 0, 0, "must be a 1-D array of integers"),
        ([[GOOD]], 0, 0, "must be a 1-D array of integers"),
        ([GOOD], [0, 0], 0, "offsets has 2 values for 1 tables"),
        ([GOOD], 0, [0, 0], "shifts has 2 values for 1 tables"),
        ([GOOD], 0, 17, "table 0 has shift 17"),
        ([GOOD], 0, -1, "shifts holds a value outside"),
        ([GOOD], 2**30 + 1, 0, "leaves int32"),
        ([GOOD], -(2**30) - 1, 0, "leaves int32"),
        ([GOOD], 2**15 - 1, 16, "leaves int32"),
        ([GOOD], -(2**15), 16, "leaves int32"),
        ([GOOD], 2**31, 0, "offsets holds a value outside"),
    ],
)
def test_refused(rows, offsets, shifts, words):
    with pytest.raises(ValueError, match=words):
        Tables.from_frequencies(rows, offsets, shifts)


def test_widest_ranges(backend):
    """The limits that test_refused oversteps by one, coded at their ends."""
    tables = Tables.from_frequencies(
        [GOOD] * 4, [2**30, -(2**30), 2**15 - 2, -(2**15) + 1], [0, 0, 16, 16]
    )
    half = 1 << 15
    symbols = [2**30, 2**30 + 1, -(2**30), (2**15 << 16) - half - 1, (1 - 2**15 << 16) - half]
    index = np.array([0, 0, 1, 2, 3], np.uint8)
    assert np.isfinite(tables.cost(symbols, index)).all()
    assert tables.cost(symbols, index).max() < 18
    encoder = Encoder(tables)
    encoder.push(np.array(symbols, np.int32), index)
    assert Decoder(encoder.finish(), tables).pull(index).tolist() == symbols


def test_lengths_must_match():
    with pytest.raises(ValueError, match="lengths do not add up"):
        Tables(GOOD, [2], [0])


def test_cost(mixed):
    symbols = np.array([0, 1, 7, -64, 8, -3, 0, 40000, 2])
    index = np.array([0, 1, 2, 3, 2, 0, 4, 4, 1])
    expected = [
        math.log2(TOTAL / 16183),
        1,
        0,
        2 + 5,
        math.inf,
        14 + 16,
        14 + 16,
        math.log2(TOTAL / 16383) + 48,  # (40000 + 2^15) >> 16 is 1, an escape
        math.inf,
    ]
    assert mixed.cost(symbols, index) == pytest.approx(expected)


def test_from_pmf():
    tables = Tables.from_pmf([[0.25, 0.5, 0.125], [1.0]], [-1, 4])
    assert tables.row(0).tolist() == [4096, 8192, 2048, 2048]
    assert tables.row(1).tolist() == [TOTAL - 1, 1]


def test_from_pmf_without_escape():
    tables = Tables.from_pmf([[0.2, 0.2], [1]], 0, escape=False)
    assert tables.row(0).tolist() == [8192, 8192, 0]
    assert tables.row(1).tolist() == [TOTAL, 0]


@pytest.mark.parametrize(
    "pmf, words",
    [
        ([], "must have 1 to 255 probabilities"),
        ([0.001] * 256, "must have 1 to 255 probabilities"),
        ([0.5, -0.1], "no distribution"),
        ([0.6, 0.6], "no distribution"),
        ([0.0, 0.0], "no distribution"),
        ([0.5, math.nan], "no distribution"),
        ([math.inf], "no distribution"),
    ],
)
def test_from_pmf_refuses(pmf, words):
    with pytest.raises(ValueError, match=f"table 1.*{words}|of table 1 are {words}"):
        Tables.from_pmf([[1.0], pmf], 0)


@pytest.mark.parametrize("seed", range(20))
def test_quantise_is_optimal(seed):
    """No single unit is better off at another symbol, so (by convexity) no set of units is."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(rng.integers(1, 60), 10.0 ** rng.integers(-2, 2)))
    freqs = quantise(p).astype(np.float64)
    gain = p * np.log2((freqs + 1) / freqs)
    loss = np.where(freqs > 1, p * np.log2(freqs / np.maximum(freqs - 1, 1e-9)), np.inf)
    assert freqs.sum() == TOTAL and freqs.min() >= 1
    assert gain.max() <= loss.min() + 1e-15


def test_quantise_extremes():
    assert quantise([1]).tolist() == [TOTAL]
    assert quantise([1, 0, 0]).tolist() == [TOTAL - 2, 1, 1]
    assert quantise([0, 1e-300]).tolist() == [1, TOTAL - 1]
    assert quantise(np.ones(TOTAL)).tolist() == [1] * TOTAL
    for bad in ([], np.ones(TOTAL + 1), [0, 0], [math.nan], [-1, 2], [[1]]):
        with pytest.raises(ValueError):
            quantise(bad)

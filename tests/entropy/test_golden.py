"""Streams kept for ever: they decode to the same symbols and are encoded to the same bytes.

Each is a pair of files in tests/golden/entropy, NAME.json (tables, symbols, indexes, lanes) and
NAME.bin (the stream). A file that is missing is a failure. To add one, add its name to CASES and a
recipe below, and run `python tests/entropy/test_golden.py --write NAME`; it refuses to overwrite.
"""

import json
import os
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from lictor.entropy import Decoder, Tables, reference

FOLDER = Path(__file__).parents[1] / "golden" / "entropy"
CASES = {
    "mixed-1": 1,
    "mixed-4": 4,
    "mixed-8": 8,
    "mixed-32": 32,
    "many-tables-32": 32,
    "wide-offsets-32": 32,
    "certain-8": 8,
    "certain-1": 1,
    "nothing-1": 1,
}


def load(name):
    """(data, tables, symbols, index, lanes)"""
    case = json.loads((FOLDER / f"{name}.json").read_text())
    tables = Tables(case["frequencies"], case["lengths"], case["offsets"], case["shifts"])
    symbols, index = np.array(case["symbols"], np.int32), np.array(case["index"], np.uint8)
    return (FOLDER / f"{name}.bin").read_bytes(), tables, symbols, index, case["lanes"]


def encode(path, tables, symbols, index, lanes):
    """Encode in a given number of lanes, which the public interface does not let choose."""
    if path == "reference":
        coder = reference.Encoder()
        coder.push(symbols, index, tables.compiled(reference))
        chosen = reference.choose_lanes
        reference.choose_lanes = lambda bits: lanes
        try:
            return coder.finish()
        finally:
            reference.choose_lanes = chosen
    from lictor.entropy import _rans

    coder = _rans.Encoder(path)
    assert coder.push(symbols, index, tables.compiled(_rans), False) == -1
    return coder.finish(lanes)


def test_all_files_are_known():
    assert {path.stem for path in FOLDER.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_golden(backend, name):
    data, tables, symbols, index, lanes = load(name)
    assert (1, 4, 8, 32)[data[-1] & 3] == lanes == CASES[name]
    decoder = Decoder(data, tables)
    assert (decoder.pull(index) == symbols).all()
    decoder.close()
    assert encode(backend, tables, symbols, index, lanes) == data


@pytest.mark.parametrize("name", ["mixed-32", "many-tables-32", "wide-offsets-32", "certain-8"])
@pytest.mark.parametrize("piece", [1, 5, 31, 32, 33, 64, 95])
def test_golden_in_pieces(backend, name, piece):
    """Groups of lanes are ragged at both ends."""
    data, tables, symbols, index, _ = load(name)
    decoder = Decoder(data, tables)
    for at in range(0, symbols.size, piece):
        assert (decoder.pull(index[at : at + piece]) == symbols[at : at + piece]).all()
    decoder.close()


# ---- recipes


def _row(rng, length, escape):
    weights = rng.exponential(size=length) ** 3 + 1e-9
    freqs = np.maximum(1, weights / weights.sum() * (16384 - 2 * length)).astype(int)
    if not escape:
        freqs[-1] = 0
    freqs[0] += 16384 - freqs.sum()
    return freqs.tolist()


def _symbols(rng, tables, index):
    low = tables.offsets[index].astype(np.int64)
    inside = low + rng.integers(0, tables.lengths[index].astype(np.int64) - 1)
    unit = 1 << tables.shifts[index].astype(np.int64)
    symbols = inside * unit - unit // 2 + rng.integers(0, unit)
    first = np.cumsum(tables.lengths) - tables.lengths
    escapes = tables.frequencies[(first + tables.lengths - 1)[index]] > 0
    away = rng.integers(-(2**31), 2**31, index.size) >> rng.choice([0, 12, 16], index.size)
    return np.where(escapes & (rng.random(index.size) < 0.04), away, symbols).astype(np.int32)


def make(name):
    """(tables, symbols, index) of a case."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    count = 500
    if name.startswith(("certain", "nothing")):
        # 0, 2 (far away) and 3 are certain, 300 times in a row as well; 4 has raw bits.
        rows = [[16384, 0], [64] * 256, [16384, 0], [16384, 0], [16384, 0]]
        tables = Tables.from_frequencies(rows, [3, 0, -(2**30), 0, 9], [0, 0, 0, 0, 3])
        index = rng.choice([0, 1, 1, 1, 1, 2, 3, 4], count).astype(np.uint8)
        index[100:400] = 3
        if name == "certain-1":
            index = rng.choice([0, 2, 3], 100).astype(np.uint8)
        if name == "nothing-1":
            index = index[:0]
    elif name.startswith("many"):
        rows = [_row(rng, int(n), n % 2 == 0) for n in rng.integers(2, 9, 256)]
        tables = Tables.from_frequencies(rows, rng.integers(-20, 20, 256))
        index = rng.integers(0, 256, count).astype(np.uint8)
    elif name.startswith("wide"):
        rows = [_row(rng, 30, True) for _ in range(8)]
        offsets = [2**30 - 40, -(2**30), 32730, 32740, -32767, -32768, 40000, 0]
        tables = Tables.from_frequencies(rows, offsets)
        index = rng.integers(0, 8, count).astype(np.uint8)
    else:
        rows = [_row(rng, n, escape) for n, escape in [(2, 0), (40, 1), (256, 1), (9, 1), (256, 0)]]
        tables = Tables.from_frequencies(rows, [0, -20, -128, -4, -7], [0, 0, 0, 5, 16])
        index = rng.integers(0, 5, count).astype(np.uint8)
    return tables, _symbols(rng, tables, index), index


def write(name):
    """Write both files of a new case, with the reference."""
    tables, symbols, index = make(name)
    case = {
        "lanes": CASES[name],
        "frequencies": tables.frequencies.tolist(),
        "lengths": tables.lengths.tolist(),
        "offsets": tables.offsets.tolist(),
        "shifts": tables.shifts.tolist(),
        "symbols": symbols.tolist(),
        "index": index.tolist(),
    }
    data = encode("reference", tables, symbols, index, CASES[name])
    lines = ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in case.items())
    with open(FOLDER / f"{name}.json", "x") as file:
        file.write("{\n" + lines + "\n}\n")
    with open(FOLDER / f"{name}.bin", "xb") as file:
        file.write(data)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "--write":
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} --write NAME...")
    for case in sys.argv[2:]:
        write(case)

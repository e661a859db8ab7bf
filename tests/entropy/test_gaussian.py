"""The checked-in family: what it is, and what it costs."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import lictor.entropy.gaussian as gaussian
from lictor.entropy import (
    GAUSSIAN_SCALE_MIN,
    SCALES,
    SCALES_PER_OCTAVE,
    gaussian_sigmas,
    gaussian_tables,
)

special = pytest.importorskip("scipy.special")


def sigma(index):
    """Standard deviation of table `index`, or between two tables."""
    octaves = index / 16 if index < 64 else 4 + (index - 64) / 8
    return GAUSSIAN_SCALE_MIN * 2**octaves


def test_sigmas():
    assert gaussian_sigmas().tolist() == pytest.approx([sigma(i) for i in range(SCALES)])


def distribution(scale):
    """Symbols that matter, and their probabilities."""
    reach = int(12 * scale) + 3
    symbols = np.arange(-reach, reach + 1)
    right = -np.abs(symbols)
    return symbols, special.ndtr((right + 0.5) / scale) - special.ndtr((right - 0.5) / scale)


def entropy(p):
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def test_file_is_what_the_format_says():
    """A change here makes every old file undecodable."""
    digest = "b58f35e6d0a2987be39ad947280800734827eb5f99485046ebe2d1378e64adb1"
    assert gaussian_tables().digest().hex() == digest


def test_script_makes_the_file(tmp_path, capsys):
    path = Path(gaussian.__file__).with_name("make_gaussian.py")
    spec = importlib.util.spec_from_file_location("make_gaussian", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path / "again.npz")
    assert gaussian_tables().digest().hex() in capsys.readouterr().out
    with np.load(tmp_path / "again.npz") as again:
        for name in ("frequencies", "lengths", "offsets", "shifts"):
            assert (again[name] == getattr(gaussian_tables(), name)).all()


def test_shape_of_the_family():
    tables = gaussian_tables()
    assert len(tables) == SCALES == 128
    assert sigma(64) == 0.11 * 2**4
    assert sigma(127) == pytest.approx(413, abs=1)
    for i in range(SCALES):
        row = tables.row(i)
        assert row[-1] >= 1
        assert tables.offsets[i] == -((row.size - 1) // 2)
        assert abs(row[:-1].astype(int) - row[-2::-1].astype(int)).max() <= 1
        shift = tables.shifts[i]
        assert (shift == 0) == (sigma(i) <= 16)
        if shift:
            assert 8 < sigma(i) / 2.0**shift <= 16
            assert (row == tables.row(i - SCALES_PER_OCTAVE * shift)).all()


@pytest.mark.parametrize("i", range(SCALES))
def test_cost_of_each_table(i):
    """Mean cost of a symbol: entropy + 0.0003 bit + 0.03 % at most."""
    symbols, p = distribution(sigma(i))
    bits = gaussian_tables().cost(symbols, np.full(symbols.size, i))
    assert 0 <= (p * bits).sum() - entropy(p) < 0.0003 + 0.0003 * entropy(p)


def test_cost_of_rounding_the_scale():
    """With the nearest table for any sigma, 0.3 % at most and 0.08 % on average."""
    excess = []
    for s in np.linspace(16, SCALES - 1, 600):
        symbols, p = distribution(sigma(s))
        bits = gaussian_tables().cost(symbols, np.full(symbols.size, round(s)))
        excess.append((p * bits).sum() / entropy(p) - 1)
    assert max(excess) < 0.003
    assert np.mean(excess) < 0.0008

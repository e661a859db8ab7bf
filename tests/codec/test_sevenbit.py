"""Bytes in a page: they come back, and nothing in the text means anything to HTML."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lictor.codec.report import sevenbit


@given(st.binary(max_size=300))
def test_there_and_back(raw: bytes):
    text = sevenbit.text(raw)
    assert sevenbit.raw(text) == raw
    assert len(text) == -(-8 * len(raw) // 7)
    assert not set(text) & set("\0\n\r<")


def test_known_text():
    assert sevenbit.text(b"") == ""
    assert sevenbit.text(b"\xff\x00") == "\x7f\x40\x80"
    assert sevenbit.text(bytes([0b0111100_0, 0b001101_00, 0b01010_000])) == "\xbc\x8d\x8a\x80"


def test_size_in_a_page():
    raw = np.random.default_rng(0).bytes(100_000)
    assert len(sevenbit.text(raw).encode()) < 1.18 * len(raw)

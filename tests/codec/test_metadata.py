"""Metadata come back as they were; what unpacks to more than it declares does not."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor.codec.errors import CorruptFile
from lictor.codec.picture import metadata


def deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(data) + deflate.flush()


@given(st.binary(min_size=1, max_size=500))
def test_there_and_back(data: bytes):
    assert metadata.unpack(metadata.pack(data)) == data


def test_largest():
    assert metadata.unpack(metadata.pack(bytes(2**22))) == bytes(2**22)
    with pytest.raises(ValueError, match="4194305"):
        metadata.pack(bytes(2**22 + 1))


def test_truncated_at_every_byte():
    data = metadata.pack(b"EXIF " * 50)
    for size in range(len(data)):
        with pytest.raises(CorruptFile):
            metadata.unpack(data[:size])


@pytest.mark.parametrize("size", [b"\x04", b"\x06"])
def test_other_size_than_declared(size: bytes):
    with pytest.raises(CorruptFile, match="declare"):
        metadata.unpack(size + deflated(b"12345"))


def test_bytes_after_the_end():
    with pytest.raises(CorruptFile, match="declare"):
        metadata.unpack(b"\x05" + deflated(b"12345") + b"x")


@pytest.mark.parametrize("size", [b"\x00", b"\x81\x80\x80\x02", b"\xff\xff\xff\xff\xff"])
def test_size_beyond_the_cap(size: bytes):
    with pytest.raises(CorruptFile, match="size of the metadata"):
        metadata.unpack(size + deflated(b"12345"))


def test_bomb():
    bomb = b"\x05" + deflated(bytes(100 << 20))
    tracemalloc.start()
    with pytest.raises(CorruptFile):
        metadata.unpack(bomb)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()

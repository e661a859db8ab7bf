"""AVIF and HEIF: their colours, and more than 8 bits a sample where a package gives them."""

from __future__ import annotations

import io
import sys
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from lictor.codec.errors import CodecError, UnsupportedImage
from lictor.codec.format.colour import Signalling
from lictor.codec.image import heif, pillow

AVIF10 = b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAA"
    "AAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAABgwAAAChpaW5mAAAA"
    "AAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAEAAAAAwA"
    "AAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x4AAkAEAAJgAAAABdpcG1hAAAAAAAAAAEAAQQB"
    "AoMEAAABi21kYXQSAAoIOAz++cJEAmQy9AIQAADQl08cjfMbuf7ryax4UW7ZMf7SDAfrRYAtKb7rrYMeC0vMD3TY"
    "qu64NBa9JPe+W6SlHY4NEFno+viPIZYmjr3Jj+ILma5ph0awLndSMvL4o2LUhUsOd7ss3QYxIPerSEy5gb1O2Wb3"
    "kmycXpBHFVIXAPhUnPWRDhFDGQsl3sHNmzcLV6f/y36Y0hZ7cuIb+st/bYv7cCzDFMpUASLJAuqTPSWhuwW3APpO"
    "GjWJm0ofRzqhPReKmA+5C0Si0g1LfLc0LAw8Otv84a1pkpD9NkN6AUV8vb4cGxD54ppTgKk+HPTmcxu+LuqDRY6H"
    "1DGC+pooWdopbeLECX40MTRUMuSY3A0y2j2ZwgghyOlUQ6K+Ma6NNthGRN7p3++O0TMXpUKU1OuDqGgBw1uDVrbS"
    "qB+55R8lYFQEfvZPmAhnIC7HfDegr/H0IT0vJ+GqreYiyArTe254gvt2QWXhv+dReic10rh3Mc6r/iMeL/eysqvN"
    "NsA="
)
"""16x12, lossless, BT.2020 PQ: see `ramp`."""
AVIF12 = b64decode(
    "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAOltZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAAA5waXRtAAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAAAQAAAQ0AAABAAAAAKGlpbmYAAAAAAAEA"
    "AAAaaW5mZQIAAAAAAQAAYXYwMUNvbG9yAAAAAGhpcHJwAAAASWlwY28AAAAUaXNwZQAAAAAAAAAQAAAADAAAAA5w"
    "aXhpAAAAAAEMAAAADGF2MUOBQHwAAAAAE2NvbHJuY2x4AAkAEgAJgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAA"
    "SG1kYXQSAAoIWAz++PCRIJoyMhAAbdZZImfLsFNMhLyC4Eb6OINgtbLoglivs1nN8Xi8HifBRam/ZMUJ28PqoFTe"
    "sYEY"
)
"""16x12, gray, BT.2020 HLG: the red of `ramp`, times four."""
HEIC10 = b64decode(
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABegABAAAAAAAAAIgAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQQIAAAAnDgAAAAAHvAA/P/6"
    "+gAADwNgAAEAF0ABDAH//wQIAAADAJw4AAADAAAeugJAYQABACtCAQEECAAAAwCcOAAAAwAAHpAEECCbLdSSU1zc"
    "MEAYEAAAAwGQAAADABCAYgABAAhEAcFyhgwCJAAAABNjb2xybmNseAAMABAABoAAAAAUaXNwZQAAAAAAAABAAAAA"
    "QAAAABBwaXhpAAAAAAMKCgoAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAAJBtZGF0AAAAhCgBrwngI0DawOICV/1E"
    "UjoM0XJeOfOfPfCJ8LKEHivjbErtYsqveopnD97BZq8K3gqnSmT8rr9FMBrGGKiqKbeC5E42uuxKQk4ZpnezbVbA"
    "eEYeRVrn6D8UHHS4zKVQr98Z6zfZowLZo8zvwHrr9JlKT4Q/DWN3NGdsTqyAJZUcN3X4YA=="
)
"""64x64, P3 D65 PQ: red from left to right, green from top to bottom, 16 a pixel; blue 512."""

PQ, HLG = Signalling(cicp=(9, 16, 0, 1)), Signalling(cicp=(9, 18, 0, 1))


@pytest.fixture
def ramp() -> np.ndarray:
    y, x = np.mgrid[:12, :16]
    return np.dstack([x * 68, y * 93, 1023 - x * 60])


@pytest.fixture
def heic_opener(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts Pillow's table of plugins back."""
    pytest.importorskip("pi_heif")
    for table in ("OPEN", "SAVE", "EXTENSION", "MIME", "DECODERS"):
        monkeypatch.setattr(Image, table, dict(getattr(Image, table)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)
    found = heif.find_spec
    monkeypatch.setattr(heif, "find_spec", lambda name: name not in packages and found(name))


def difference(pixels: np.ndarray, levels: np.ndarray, bits: int) -> float:
    """In levels of so many bits."""
    return float(np.abs(pixels / 65535 * (2**bits - 1) - np.atleast_3d(levels)).max())


def test_ten_bits_of_avif(ramp: np.ndarray):
    pytest.importorskip("imagecodecs")
    picture = pillow.read(AVIF10)
    assert (picture.depth, picture.notes, picture.signalling) == (16, (), PQ)
    assert difference(picture.pixels, ramp, 10) < 1.1
    assert picture.pixels.max() == 65535, "white stays white"


def test_twelve_bits_of_gray_avif(ramp: np.ndarray):
    pytest.importorskip("imagecodecs")
    picture = pillow.read(AVIF12)
    assert (picture.pixels.shape, picture.notes, picture.signalling) == ((12, 16, 1), (), HLG)
    assert difference(picture.pixels, ramp[:, :, 0] * 4, 12) < 200


@pytest.mark.parametrize("data, bits, said", [(AVIF10, 10, PQ), (AVIF12, 12, HLG)])
def test_avif_without_its_package(
    data: bytes, bits: int, said: Signalling, monkeypatch: pytest.MonkeyPatch
):
    without(monkeypatch, "imagecodecs")
    picture = pillow.read(data)
    assert picture.depth == 8 and picture.signalling == said
    (note,) = picture.notes
    assert f"has {bits} bits" in note and "read as 8" in note and "lictor[avif]" in note


def test_bits_are_not_to_be_had_of_an_image_that_was_loaded():
    with Image.open(io.BytesIO(AVIF10)) as opened:
        opened.load()
        assert pillow.from_pillow(opened).depth == 8


def test_avif_that_the_package_cannot_decode(monkeypatch: pytest.MonkeyPatch):
    codecs = pytest.importorskip("imagecodecs")

    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("of no kind\nthat is known")

    monkeypatch.setattr(codecs, "avif_decode", fail)
    picture = pillow.read(AVIF10)
    assert picture.depth == 8 and "cannot decode it (of no kind that is known)" in picture.notes[0]


def test_heic(heic_opener: None):
    picture = pillow.read(HEIC10)
    assert picture.pixels.shape == (64, 64, 3) and picture.depth == 16 and picture.notes == ()
    assert picture.signalling == Signalling(cicp=(12, 16, 0, 1))
    y, x = np.mgrid[:64, :64]
    expected = np.dstack([x * 16, y * 16, np.full((64, 64), 512)])
    assert difference(picture.pixels, expected, 10) < 40


def test_heic_without_its_package(monkeypatch: pytest.MonkeyPatch):
    if "HEIF" in Image.OPEN:
        pytest.skip("another test has made HEIF known to Pillow")
    without(monkeypatch, "pi_heif", "pillow_heif")
    with pytest.raises(UnsupportedImage, match=r"is HEIF.*lictor\[heif\]"):
        pillow.read(HEIC10)


def test_avif_of_8_bits(photo: np.ndarray):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "AVIF")
    picture = pillow.read(file.getvalue())
    assert picture.depth == 8 and picture.notes == ()
    assert picture.signalling == Signalling(cicp=(1, 13, 0, 1))


def test_a_profile_counts_more_than_nclx_but_for_hdr():
    for nclx, expected in ((b"\0\x09\0\x10", PQ), (b"\0\x09\0\x01", Signalling())):
        data = AVIF10.replace(b"nclx\0\x09\0\x10", b"nclx" + nclx)
        with Image.open(io.BytesIO(data)) as opened:
            opened.info["icc_profile"] = b"of some colours"
            picture = pillow.from_pillow(opened)
        assert (picture.icc, picture.signalling) == (b"of some colours", expected)


def test_nclx_that_says_nothing():
    data = AVIF10.replace(b"nclx\0\x09\0\x10", b"nclx\0\x02\0\x02")
    assert pillow.read(data).signalling == Signalling()


# ---- boxes


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def nclx(primaries: int, transfer: int) -> bytes:
    return box(b"colr", b"nclx", bytes([0, primaries, 0, transfer, 0, 9, 0x80]))


def file_of(
    properties: list[bytes], associations: bytes, primary: bytes = b"\0\0\0\0\0\x02"
) -> bytes:
    parts = box(b"iprp", box(b"ipco", *properties), box(b"ipma", associations))
    return box(b"ftyp", b"avif") + box(b"meta", bytes(4), box(b"pitm", primary), parts)


SCREEN = bytes.fromhex("2134 9baa 1996 08fc 8a48 3908 3d13 4042 00989680 00000032")
PROPERTIES = [
    nclx(1, 13),
    nclx(9, 16),
    box(b"pixi", bytes(4), b"\3\x0c\x0c\x0c"),
    box(b"mdcv", SCREEN),
    box(b"clli", b"\x03\xe8\0\xc8"),
]
OF_TWO = b"\0\0\0\0" + b"\0\0\0\2" + b"\0\1\1\1" + b"\0\2\4\x82\3\4\5"


def test_the_primary_picture_counts():
    data = file_of(PROPERTIES, OF_TWO)
    assert heif.bit_depth(data) == 12
    assert Signalling(**heif.of_boxes(data)) == Signalling(
        cicp=(9, 16, 0, 1),
        mastering=(35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 10_000_000, 50),
        light=(10_000_000, 2_000_000),
    )
    assert heif.of_boxes(file_of(PROPERTIES, OF_TWO, bytes(5) + b"\1"))["cicp"] == (1, 13, 0, 1)


def test_wide_numbers():
    associations = b"\1\0\0\1" + b"\0\0\0\1" + b"\0\0\0\2" + b"\1" + b"\x80\2"
    data = file_of(PROPERTIES, associations, b"\1\0\0\0" + b"\0\0\0\2")
    assert heif.of_boxes(data) == {"cicp": (9, 16, 0, 1)}


def test_damaged_boxes_say_nothing_or_something_that_can_be():
    data = file_of(PROPERTIES, OF_TWO)
    random = np.random.default_rng(3)
    for size in range(len(data)):
        Signalling(**heif.of_boxes(data[:size]))
    for _ in range(3000):
        damaged = bytearray(data)
        for at in random.integers(0, len(data), 3):
            damaged[at] = random.integers(256)
        Signalling(**heif.of_boxes(bytes(damaged)))
        assert heif.bit_depth(bytes(damaged)) in range(256)


def test_damaged_avif_has_a_name():
    random = np.random.default_rng(4)
    for _ in range(150):
        damaged = bytearray(AVIF10)
        for at in random.integers(0, len(AVIF10), 3):
            damaged[at] = random.integers(256)
        try:
            picture = pillow.read(bytes(damaged))
        except CodecError:
            continue
        assert picture.pixels.dtype in (np.uint8, np.uint16)

"""Colours that no ICC profile tells: kept where the output can say them, else converted or said."""

from __future__ import annotations

import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageCms

from lictor.codec import decode, decode_picture, encode, info
from lictor.codec.cli.main import cli
from lictor.codec.format.colour import SRGB_CHROMATICITIES, Signalling
from lictor.codec.image import colour_space, pillow, png_chunks
from lictor.codec.image.pillow import Picture

MODEL = "fake.pixels"
"""Exact to 8 bits at quality 100."""

P3, PQ, HLG = (Signalling(cicp=(*code, 0, 1)) for code in ((12, 13), (9, 16), (9, 18)))
WIDE = (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
GAMMA = Signalling(gamma=55556, chromaticities=WIDE)
SCREEN = (35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 10_000_000, 50)
SAID = {
    "display-p3": P3,
    "pq": PQ,
    "hlg": HLG,
    "narrow": Signalling(cicp=(1, 1, 0, 0)),
    "srgb": Signalling(intent=1),
    "srgb-of-libpng": Signalling(intent=0, gamma=45455, chromaticities=SRGB_CHROMATICITIES),
    "gamma": Signalling(gamma=100000),
    "gamma-chromaticities": GAMMA,
    "chromaticities": Signalling(chromaticities=WIDE),
    "all": Signalling((9, 16, 0, 1), 1, 45455, WIDE, SCREEN, (10_000_000, 2_000_000)),
}
LAYOUTS = {"cicp": (b"cICP", ">4B"), "intent": (b"sRGB", ">B"), "gamma": (b"gAMA", ">I")} | {
    "chromaticities": (b"cHRM", ">8I"),
    "mastering": (b"mDCV", ">8H2I"),
    "light": (b"cLLI", ">2I"),
}


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def chunks_of(said: Signalling) -> bytes:
    parts = {name: getattr(said, name) for name in LAYOUTS}
    return b"".join(
        chunk(kind, struct.pack(layout, *(v if isinstance(v := parts[name], tuple) else (v,))))
        for name, (kind, layout) in LAYOUTS.items()
        if parts[name] is not None
    )


def png(pixels: np.ndarray, chunks: bytes = b"", icc: bytes = b"") -> bytes:
    """A PNG that another wrote, with these chunks behind its IHDR."""
    file = io.BytesIO()
    pillow.write(Picture(pixels, icc), file)
    data = file.getvalue()
    return data[:33] + chunks + data[33:]


def chunks_in(data: bytes) -> dict[bytes, bytes]:
    """The chunks before the pixels, as a reader of our own sees them."""
    found, at = {}, 8
    while data[at + 4 : at + 8] != b"IDAT":
        size = int.from_bytes(data[at : at + 4], "big")
        assert data[at + 4 : at + 8] not in found
        found[data[at + 4 : at + 8]] = data[at + 8 : at + 8 + size]
        check = data[at + 8 + size : at + 12 + size]
        assert int.from_bytes(check, "big") == zlib.crc32(data[at + 4 : at + 8 + size])
        at += 12 + size
    return found


def written(picture: Picture, format: str = "PNG") -> tuple[bytes, tuple[str, ...]]:
    file = io.BytesIO()
    notes = pillow.write(picture, file, format)
    return file.getvalue(), notes


@pytest.fixture(params=[(d, c) for d in (8, 16) for c in (1, 2, 3, 4)], ids=str)
def pixels(request: pytest.FixtureRequest) -> np.ndarray:
    """Of every depth and number of channels."""
    depth, channels = request.param
    dtype = np.uint8 if depth == 8 else np.uint16
    random = np.random.default_rng(depth + channels)
    return random.integers(0, 2**depth, (9, 12, channels), dtype=dtype)


@pytest.fixture
def deep(photo: np.ndarray) -> np.ndarray:
    """16 bits, with something in all of them."""
    return photo.astype(np.uint16) * 257 ^ np.arange(45, dtype=np.uint16)[None, :, None]


@pytest.fixture(scope="module")
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# ---- there and back


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_png_to_bin_to_png(pixels: np.ndarray, said: Signalling):
    picture = pillow.read(png(pixels, chunks_of(said)))
    assert picture.signalling == said and picture.notes == ()
    data = encode(picture, quality=100, model=MODEL)
    again = decode_picture(data)
    assert again.signalling == said
    file, notes = written(again)
    assert notes == ()
    source, target = chunks_in(png(pixels, chunks_of(said))), chunks_in(file)
    assert target == source
    off = pillow.read(file).pixels.astype(int) - pixels
    if pixels.shape[2] in (2, 4):
        off = off * (pixels[:, :, -1:] > 0)  # what is hidden comes back as something else
    assert np.abs(off).max() <= (0 if pixels.dtype == np.uint8 else 128)
    np.testing.assert_array_equal(pillow.read(file).pixels, again.pixels)


def test_hdr_keeps_its_four_bytes_and_its_16_bits(deep: np.ndarray, tmp_path: Path):
    source = tmp_path / "pq.png"
    source.write_bytes(png(deep, chunk(b"cICP", b"\x09\x10\x00\x01")))
    args = ["encode", str(source), f"{tmp_path}/a.bin", "-q", "100", "--model", MODEL]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0 and len(result.stderr.splitlines()) == 1, "no note"
    result = CliRunner().invoke(cli, ["decode", f"{tmp_path}/a.bin", f"{tmp_path}/b.png"])
    assert result.exit_code == 0 and len(result.stderr.splitlines()) == 1, "no note"
    data = (tmp_path / "b.png").read_bytes()
    assert chunks_in(data)[b"cICP"] == b"\x09\x10\x00\x01" and data[24] == 16
    pixels = pillow.read(data).pixels
    assert pixels.dtype == np.uint16 and np.abs(pixels.astype(int) - deep).max() <= 128


def test_hdr_is_written_with_every_bit(deep: np.ndarray):
    data, notes = written(Picture(deep, signalling=PQ))
    assert notes == ()
    np.testing.assert_array_equal(pillow.read(data).pixels, deep)


def test_nothing_said_nothing_kept(photo: np.ndarray):
    data = encode(pillow.read(png(photo)), quality=100, model=MODEL)
    assert data == encode(photo, quality=100, model=MODEL)
    assert info(data).colour == {} and info(data).colour_bytes == 0
    assert set(chunks_in(written(decode_picture(data))[0])) == {b"IHDR"}


def test_palette_and_bilevel(photo: np.ndarray):
    for mode in ("P", "1"):
        file = io.BytesIO()
        Image.fromarray(photo).convert(mode).save(file, "PNG")
        data = file.getvalue()
        assert pillow.read(data[:33] + chunks_of(P3) + data[33:]).signalling == P3


def test_salvage_and_regions_keep_it(photo: np.ndarray):
    data = encode(Picture(photo, signalling=PQ), model=MODEL)
    assert decode_picture(data, region=(1, 2, 5, 6)).signalling == PQ
    assert decode_picture(data, salvage=True).signalling == PQ


# ---- chunks that disagree, and damaged ones


def test_all_is_kept_and_cicp_counts(photo: np.ndarray, srgb_profile: bytes):
    said = replace(GAMMA, cicp=P3.cicp)
    picture = pillow.read(png(photo, chunks_of(said), srgb_profile))
    assert (picture.icc, picture.signalling) == (srgb_profile, said)
    file, _ = written(decode_picture(encode(picture, model=MODEL)))
    assert {b"cICP", b"iCCP", b"gAMA", b"cHRM"} <= set(chunks_in(file))
    data, notes = written(picture, "JPEG")
    with Image.open(io.BytesIO(data)) as jpeg:
        assert jpeg.info["icc_profile"] == colour_space.icc_profile(
            colour_space.of_signalling(P3), "Display P3"
        )
    assert notes == ()


def test_a_profile_counts_more_than_srgb_and_gamma(photo: np.ndarray, srgb_profile: bytes):
    picture = pillow.read(png(photo, chunks_of(replace(GAMMA, intent=2)), srgb_profile))
    assert (picture.icc, picture.signalling) == (srgb_profile, GAMMA)
    with Image.open(io.BytesIO(written(picture, "JPEG")[0])) as jpeg:
        assert jpeg.info["icc_profile"] == srgb_profile
    assert np.abs(pillow.stripped(picture).pixels.astype(int) - photo).max() <= 1
    beside = Picture(photo, srgb_profile, signalling=Signalling(intent=2))
    assert b"sRGB" not in chunks_in(written(beside)[0])
    assert b"sRGB" not in chunks_in(written(replace(beside, pixels=photo * np.uint16(257)))[0])


def test_srgb_counts_more_than_gamma(photo: np.ndarray):
    picture = pillow.read(png(photo, chunks_of(replace(GAMMA, intent=0))))
    assert picture.signalling == replace(GAMMA, intent=0)
    np.testing.assert_array_equal(pillow.stripped(picture).pixels, photo)
    with Image.open(io.BytesIO(written(picture, "TIFF")[0])) as tiff:
        assert "icc_profile" not in tiff.info


def test_the_first_of_two(photo: np.ndarray):
    data = png(photo, chunk(b"cICP", bytes((9, 16, 0, 1))) + chunk(b"cICP", bytes((9, 18, 0, 1))))
    assert pillow.read(data).signalling == PQ


@pytest.mark.parametrize(
    "kind, data",
    [
        (b"cICP", b""),
        (b"cICP", b"\x09\x10\x00"),
        (b"cICP", b"\x09\x10\x00\x01\x00"),
        (b"cICP", b"\x09\x10\x09\x01"),  # samples of PNG are never Y'CbCr
        (b"cICP", b"\x09\x10\x00\x02"),
        (b"mDCV", bytes(23)),
        (b"mDCV", bytes(5000)),
        (b"cLLI", bytes(7)),
        (b"gAMA", bytes(4)),
        (b"gAMA", b"\x80\0\0\0"),
        (b"cHRM", bytes(32)),
        (b"cHRM", b"\xff" * 32),
        (b"sRGB", b"\x04"),
    ],
)
def test_damaged_chunks_are_left_out_and_said(photo: np.ndarray, kind: bytes, data: bytes):
    picture = pillow.read(png(photo, chunk(kind, data)))
    assert not picture.signalling
    assert len(picture.notes) == 1 and "is damaged and left out" in picture.notes[0]
    np.testing.assert_array_equal(picture.pixels, photo)
    good = pillow.read(png(photo, chunk(kind, data) + chunks_of(replace(PQ, intent=None))))
    assert kind == b"cICP" or good.signalling == PQ, "others are not"


def test_hostile_chunks_end_in_a_picture_or_a_name(photo: np.ndarray):
    random = np.random.default_rng(7)
    good = png(photo[:4, :4], chunks_of(SAID["all"]))
    end = good.index(b"IDAT") - 4
    for _ in range(300):
        kinds = list(LAYOUTS.values())
        kind, _ = kinds[random.integers(len(kinds))]
        data = random.bytes(int(random.integers(0, 40)))
        try:
            picture = pillow.read(good[:33] + chunk(kind, data) + good[end:])
        except pillow.CodecError:
            continue
        written(picture)
        written(picture, "JPEG")
        pillow.stripped(picture)


# ---- formats that cannot say it


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("said", [P3, GAMMA, SAID["gamma"], Signalling(cicp=(9, 14, 0, 1))])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_profile_of_the_same_meaning(
    photo: np.ndarray, format: str, said: Signalling, channels: int, depth: int
):
    pixels = photo[:, :, :channels] if depth == 8 else photo[:, :, :channels] * np.uint16(257)
    data, notes = written(Picture(pixels, signalling=said), format)
    assert not any("colour" in note for note in notes)
    with Image.open(io.BytesIO(data)) as opened:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(opened.info["icc_profile"]))
        kind = profile.profile.xcolor_space.strip()
        assert kind == ("GRAY" if opened.mode in ("L", "I;16", "I;16B") else "RGB")
        assert ImageCms.getProfileDescription(profile).strip() == said.name


@pytest.mark.parametrize("said", [PQ, HLG, SAID["narrow"], Signalling(cicp=(10, 8, 0, 1))])
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_what_no_profile_says_is_noted(photo: np.ndarray, said: Signalling, format: str):
    data, notes = written(Picture(photo, signalling=said), format)
    assert len(notes) == 1 and said.name in notes[0] and format in notes[0]
    with Image.open(io.BytesIO(data)) as opened:
        assert "icc_profile" not in opened.info


@pytest.mark.parametrize("format", ["BMP", "PPM", "GIF"])
def test_formats_without_profiles(photo: np.ndarray, format: str, srgb_profile: bytes):
    of_colours = ["its colours are not all kept in GIF"] if format == "GIF" else []
    for picture in (Picture(photo, signalling=P3), Picture(photo, srgb_profile)):
        note, *others = written(picture, format)[1]
        assert others == of_colours
        assert "holds no colour profile" in note
    for plain in (Picture(photo), Picture(photo, signalling=SAID["srgb-of-libpng"])):
        assert list(written(plain, format)[1]) == of_colours


def test_the_luminances_of_hdr_are_said_to_be_lost(photo: np.ndarray):
    _, notes = written(Picture(photo, signalling=SAID["all"]), "JPEG")
    assert "BT.2020, PQ" in notes[0] and "mDCV" in notes[1]


def test_notes_go_to_standard_error(photo: np.ndarray, tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(encode(Picture(photo, signalling=PQ), model=MODEL))
    result = CliRunner().invoke(cli, ["decode", f"{tmp_path}/a.bin", f"{tmp_path}/b.jpg"])
    assert result.exit_code == 0 and "JPEG cannot say that its colours are BT.2020" in result.stderr


# ---- what a profile says, and conversion


@pytest.mark.parametrize(
    "said",
    [
        P3,
        GAMMA,
        SAID["gamma"],
        SAID["chromaticities"],
        Signalling(cicp=(9, 1, 0, 1)),
        Signalling(cicp=(6, 7, 0, 1)),
        Signalling(cicp=(11, 4, 0, 1)),
        Signalling(gamma=55556, chromaticities=(34570, 35850, *WIDE[2:])),
    ],
)
def test_conversion_is_what_lcms_makes_of_the_profile(photo: np.ndarray, said: Signalling):
    space = colour_space.of_signalling(said)
    assert space and not space.is_srgb
    profile = io.BytesIO(colour_space.icc_profile(space, "of its own"))
    srgb = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    expected = ImageCms.profileToProfile(Image.fromarray(photo), profile, srgb, intent)
    converted = colour_space.to_srgb(photo, space)
    assert np.abs(converted.astype(int) - np.asarray(expected)).max() <= 1
    assert np.abs(converted.astype(int) - photo).max() > 5


def test_conversion_of_all_depths_and_channels(pixels: np.ndarray):
    picture = Picture(pixels, exif=b"MM", signalling=P3)
    plain = pillow.stripped(picture)
    assert not plain.signalling and not plain.exif and plain.notes == ()
    assert plain.pixels.dtype == pixels.dtype and plain.pixels.shape == pixels.shape
    if picture.alpha is not None:
        np.testing.assert_array_equal(plain.alpha, picture.alpha)
    if pixels.shape[2] < 3:
        np.testing.assert_array_equal(plain.colours, picture.colours)  # the curve is sRGB's
    else:
        assert (plain.colours != picture.colours).any()
    gray = np.repeat(picture.colours[:, :, :1], 3, axis=2)
    off = pillow.stripped(Picture(gray, signalling=P3)).pixels.astype(int) - gray
    assert np.abs(off).max() <= np.iinfo(pixels.dtype).max // 255, "gray stays gray"


def test_gray_by_its_gamma(camera: np.ndarray, srgb_profile: bytes):
    linear = Picture(camera[:, :, None], signalling=SAID["gamma"])
    expected = np.linspace(0, 1, 256)
    expected = np.where(expected > 0.0031308, 1.055 * expected ** (1 / 2.4) - 0.055, 0)
    off = pillow.stripped(linear).pixels - 255 * expected[linear.pixels]
    assert np.abs(off)[linear.pixels > 0].max() <= 0.5 + 1e-4
    profile = colour_space.icc_profile(colour_space.of_signalling(SAID["gamma"]), "", gray=True)
    by_profile = pillow.stripped(Picture(linear.pixels, profile))
    bright = linear.pixels > 20  # lcms interpolates a table of the curve
    near = np.abs(by_profile.pixels.astype(int) - pillow.stripped(linear).pixels)[bright]
    assert near.max() <= 3 and by_profile.notes == ()
    of_rgb = pillow.stripped(Picture(linear.pixels, srgb_profile))
    assert "look different" in of_rgb.notes[0]


@pytest.mark.parametrize("name", ["pq", "hlg", "narrow"])
def test_what_cannot_be_stripped_is_said(photo: np.ndarray, name: str):
    plain = pillow.stripped(Picture(photo, b"icc", signalling=SAID[name], notes=("before",)))
    assert not plain.signalling and plain.icc == b"" and plain.notes[0] == "before"
    assert SAID[name].name in plain.notes[1] and "not converted" in plain.notes[1]
    np.testing.assert_array_equal(plain.pixels, photo)


def test_strip_by_command(photo: np.ndarray, tmp_path: Path):
    (tmp_path / "p3.png").write_bytes(png(photo, chunks_of(P3)))
    (tmp_path / "pq.png").write_bytes(png(photo, chunks_of(PQ)))
    inputs = [f"{tmp_path}/p3.png", f"{tmp_path}/pq.png"]
    out = ["--strip", "-q", "100", "--model", MODEL, "--json"]
    result = CliRunner().invoke(cli, ["encode", *inputs, f"{tmp_path}/out", *out])
    assert result.exit_code == 0
    assert "p3.png" not in result.stderr and "pq.png: its colours are BT.2020" in result.stderr
    p3 = decode_picture((tmp_path / "out/p3.bin").read_bytes())
    assert not p3.signalling
    expected = colour_space.to_srgb(photo, colour_space.of_signalling(P3))
    np.testing.assert_array_equal(p3.pixels, expected)


@pytest.mark.parametrize(
    "said",
    [
        Signalling(gamma=1),
        Signalling(gamma=2**31 - 1),
        Signalling(chromaticities=(1, 1, 1, 1, 1, 1, 1, 1)),
        Signalling(chromaticities=(31270, 32900, *[2**31 - 1] * 6)),
        Signalling(chromaticities=(31270, 32900, 10000, 10000, 20000, 20000, 30000, 30000)),
        Signalling(chromaticities=(31270, 1, *WIDE[2:])),
    ],
)
def test_colours_that_mean_nothing(photo: np.ndarray, said: Signalling):
    assert colour_space.of_signalling(said) is None
    assert "cannot say" in written(Picture(photo, signalling=said), "JPEG")[1][0]
    assert pillow.read(written(Picture(photo, signalling=said))[0]).signalling == said


def test_any_chromaticities_give_a_profile_or_none(photo: np.ndarray):
    random = np.random.default_rng(11)
    found = 0
    for _ in range(500):
        most = random.choice([1000, 40_000, 100_000, 2**31])
        values = tuple(int(v) for v in random.integers(1, most, 8))
        space = colour_space.of_signalling(Signalling(chromaticities=values))
        if space:
            found += 1
            assert len(colour_space.icc_profile(space, "any")) < 600
            assert colour_space.to_srgb(photo[:2, :2], space).shape == (2, 2, 3)
    assert 20 < found < 480


def test_what_is_unspecified_is_as_if_nothing_were_said(photo: np.ndarray, srgb_profile: bytes):
    nothing = Signalling(cicp=(2, 2, 0, 1))
    assert written(Picture(photo, signalling=nothing), "BMP")[1] == ()
    beside = Picture(photo, srgb_profile, signalling=nothing)
    with Image.open(io.BytesIO(written(beside, "JPEG")[0])) as jpeg:
        assert jpeg.info["icc_profile"] == srgb_profile
    space = colour_space.of_signalling(Signalling(cicp=(9, 2, 0, 1)))
    assert space and not space.is_srgb and space.curve == colour_space.SRGB.curve


def test_gamma_that_is_how_srgb_is_said(photo: np.ndarray):
    for chromaticities in (None, SRGB_CHROMATICITIES, (31269, 32899, 63999, 33001, *WIDE[4:])):
        space = colour_space.of_signalling(Signalling(None, None, 45455, chromaticities))
        assert space and space.is_srgb == (chromaticities in (None, SRGB_CHROMATICITIES))


# ---- Pillow's images


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_an_image_carries_it_to_the_next_file(photo: np.ndarray, said: Signalling, mode: str):
    source = np.asarray(Image.fromarray(photo).convert("RGBA"))
    source = np.dstack([source[:, :, :3], source[:, :, 1]])
    pixels = np.atleast_3d(np.asarray(Image.fromarray(source).convert(mode)))
    data = encode(Picture(pixels, signalling=said), quality=100, model=MODEL)
    decoded = decode(data)
    assert decoded.mode == mode and decoded.info.get("cicp") == said.cicp
    assert encode(decoded, quality=100, model=MODEL) == data


def test_what_pillow_saves_of_it(photo: np.ndarray):
    decoded = decode(encode(Picture(photo, signalling=P3), model=MODEL))
    own = {"icc_profile": decoded.info["icc_profile"]}
    for format, options in (("PNG", {}), ("TIFF", {}), ("AVIF", {}), ("JPEG", own), ("WEBP", own)):
        file = io.BytesIO()
        decoded.save(file, format, **options)
        with Image.open(file) as again:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(again.info["icc_profile"]))
            assert ImageCms.getProfileDescription(profile).strip() == "Display P3"


def test_wrong_info_is_left_out_and_said(photo: np.ndarray):
    opened = Image.fromarray(photo)
    opened.info |= {"cicp": "9/16/0/1", "gamma": float("inf"), "srgb": [], "chromaticity": (1,)}
    picture = pillow.from_pillow(opened)
    assert not picture.signalling and len(picture.notes) == 4


def test_an_image_that_was_not_opened_from_a_png(photo: np.ndarray):
    with Image.open(io.BytesIO(png(photo, chunks_of(replace(P3, gamma=45455))))) as opened:
        assert pillow.from_pillow(opened).signalling == replace(P3, gamma=45455)
        opened.load()
        assert pillow.from_pillow(opened).signalling == Signalling(gamma=45455)


def test_the_file_stands_where_it_stood(photo: np.ndarray):
    file = io.BytesIO(png(photo, chunks_of(PQ)))
    file.seek(77)
    assert png_chunks.read(file) == ({"cicp": PQ.cicp}, [])
    assert file.tell() == 77


# ---- info


def test_info(photo: np.ndarray, tmp_path: Path):
    path = tmp_path / "a.bin"
    path.write_bytes(encode(Picture(photo, signalling=SAID["all"]), model=MODEL))
    line = CliRunner().invoke(cli, ["info", str(path)]).stdout
    assert "BT.2020, PQ (cICP 9/16/0/1)" in line and "of colour signalling" in line
    row = json.loads(CliRunner().invoke(cli, ["info", "--json", str(path)]).stdout)
    assert row["colour"]["cicp"] == [9, 16, 0, 1] and row["colour"]["mastering"] == list(SCREEN)
    path.write_bytes(encode(Picture(photo, signalling=GAMMA), model=MODEL))
    assert "gamma 0.55556, primaries of" in CliRunner().invoke(cli, ["info", str(path)]).stdout
    path.write_bytes(encode(photo, model=MODEL))
    row = json.loads(CliRunner().invoke(cli, ["info", "--json", str(path)]).stdout)
    assert row["colour"] == {} and row["colour_bytes"] == 0


def test_the_case_of_an_hdr_png():
    path = Path(__file__).parents[3] / "shared/cases/cicp_pq16.png"
    if not path.exists():
        pytest.skip("the cases are not here")
    picture = decode_picture(encode(pillow.read(path), quality=100, model=MODEL))
    assert chunks_in(written(picture)[0])[b"cICP"] == b"\x09\x10\x00\x01"
    off = picture.pixels.astype(int) - pillow.read(path).pixels
    assert picture.depth == 16 and np.abs(off).max() <= 128

"""The command line, within this process."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from lictor import models
from lictor.codec import api, inputs
from lictor.codec.cli.main import cli
from lictor.codec.image import pillow
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import encode as encoding
from lictor.codec.picture import tiles
from lictor.models.quality import Quality

MODEL = ("--model", "fake.pixels")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lictor(*args: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, args, input=stdin, prog_name="lictor")


def ok(*args: str, stdin: bytes = b"") -> Result:
    result = lictor(*args, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result


def fails(status: int, reason: str, *args: str, stdin: bytes = b"") -> Result:
    """The command ends with this status and one line that holds the reason."""
    result = lictor(*args, stdin=stdin)
    assert result.exit_code == status, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and reason in lines[0], result.stderr
    assert lines[0].startswith("lictor")
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def a_png(photo: np.ndarray) -> str:
    Image.fromarray(photo).save("a.png")
    return "a.png"


@pytest.fixture
def a_bin(photo: np.ndarray, fake: ModuleType) -> str:
    Path("a.bin").write_bytes(encoding.encode(Picture(photo), Quality(400), fake.network()))
    return "a.bin"


def listing() -> list[str]:
    return sorted(str(p) for p in Path().rglob("*") if p.is_file())


# ---- encode and decode


def test_photo_there_and_back(a_png: str, photo: np.ndarray):
    result = ok("encode", a_png, "b.bin", "-q", "100", *MODEL)
    size = os.path.getsize("b.bin")
    assert result.stdout == ""
    assert f"a.png -> b.bin: 45x31, {size} bytes, " in result.stderr
    result = ok("decode", "b.bin", "c.png")
    assert result.stdout == ""
    np.testing.assert_array_equal(np.asarray(Image.open("c.png")), photo)
    assert listing() == ["a.png", "b.bin", "c.png"]


def test_gray(camera: np.ndarray):
    Image.fromarray(camera[:20, :20]).save("a.png")
    ok("encode", "a.png", "b.bin", "-q", "100", *MODEL)
    ok("decode", "b.bin", "c.png")
    with Image.open("c.png") as picture:
        assert picture.mode == "L"


def test_folder_there_and_back(photo: np.ndarray):
    for name in ("in/a.png", "in/deep/er/b.bmp"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(name)
    result = ok("encode", "in", "bins", "-q", "100", *MODEL)
    assert result.stderr.startswith("2 files: ") and " bpp, " in result.stderr
    ok("decode", "bins", "out")
    assert [f for f in listing() if not f.startswith("in")] == [
        "bins/a.bin",
        "bins/deep/er/b.bin",
        "out/a.png",
        "out/deep/er/b.png",
    ]


def test_existing_outputs_are_overwritten(a_png: str):
    Path("b.bin").write_bytes(b"old")
    ok("encode", a_png, "b.bin", *MODEL)
    assert Path("b.bin").read_bytes()[:3] == b"LIC"


@pytest.mark.parametrize("name, format", [("b.jpg", "JPEG"), ("b.webp", "WEBP"), ("b.bmp", "BMP")])
def test_decodes_to_the_format_of_the_name(a_bin: str, name: str, format: str):
    ok("decode", a_bin, name)
    with Image.open(name) as picture:
        assert picture.format == format


def test_streams(a_png: str, a_bin: str, photo: np.ndarray):
    encoded = ok("encode", "-", "-", "-q", "100", *MODEL, stdin=Path(a_png).read_bytes())
    assert encoded.stdout_bytes == Path(a_bin).read_bytes()
    decoded = ok("decode", "-", "-", stdin=encoded.stdout_bytes)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(decoded.stdout_bytes))), photo)
    assert "- -> -: 45x31" in decoded.stderr


def test_writes_to_a_device(a_png: str, a_bin: str):
    ok("encode", a_png, os.devnull, *MODEL)
    ok("decode", a_bin, os.devnull)
    assert not os.path.isfile(os.devnull)


def test_json_of_encode_and_decode(a_png: str, photo: np.ndarray):
    Image.fromarray(photo[:8]).save("b.png")
    lines = ok("encode", "a.png", "b.png", "out", "--json", *MODEL).stdout.splitlines()
    first, second = map(json.loads, lines)
    assert first["input"] == "a.png" and first["output"] == "out/a.bin"
    assert (first["width"], first["height"], first["channels"]) == (45, 31, 3)
    assert first["bytes"] == os.path.getsize("out/a.bin")
    assert first["bpp"] == 8 * first["bytes"] / (45 * 31)
    assert (first["model"], first["quality"]) == ("fake.pixels", 50)
    assert first["seconds"] > 0
    assert second["height"] == 8
    row = json.loads(ok("decode", "out/a.bin", "c.png", "--json").stdout)
    assert row["output"] == "c.png" and row["bytes"] == first["bytes"]


# ---- regions of interest


def test_roi_box(a_png: str, photo: np.ndarray):
    roi = ["--roi", "0,0,10,9", "--roi", "20,0,5,5:0.5", "--roi-drop", "30"]
    ok("encode", a_png, "b.bin", "-q", "80", *MODEL, *roi)
    expected = api.encode(
        photo, quality=80, model=MODEL[1], roi=[(0, 0, 10, 9), (20, 0, 5, 5, 0.5)], roi_drop=30
    )
    assert Path("b.bin").read_bytes() == expected
    assert "quality 50 to 80, " in ok("info", "b.bin").stdout
    row = json.loads(ok("info", "b.bin", "--json").stdout)
    assert (row["quality"], row["quality_low"]) == (80, 50) and row["map_bytes"] > 0


def test_roi_map(a_png: str, photo: np.ndarray):
    map = np.array([[0, 255], [128, 0]], np.uint8)
    Image.fromarray(map).save("map.png")
    ok("encode", a_png, "b.bin", "--roi", "map.png", *MODEL)
    assert Path("b.bin").read_bytes() == api.encode(photo, model=MODEL[1], roi=map)


def test_roi_of_several():
    """Where a picture has nothing of the box, it alone fails."""
    Path("in").mkdir()
    Image.new("RGB", (200, 90), "red").save("in/a.png")
    Image.new("RGB", (20, 20), "red").save("in/b.png")
    result = lictor("encode", "in", "out", "--roi", "30,0,9,9", *MODEL)
    assert result.exit_code == 1
    assert "in/b.png: the region 30,0,9,9 (x, y, width, height) has nothing" in result.stderr
    assert api.info(Path("out/a.bin").read_bytes()).map_bytes


# ---- regions and damage


@pytest.fixture
def tiled_bin(china: np.ndarray, fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> str:
    """Six tiles of 64x64 with metadata, lossless."""
    monkeypatch.setattr(tiles, "SIDE", 64)
    picture = Picture(np.ascontiguousarray(china[:128, :192]), exif=b"MM\0*exif")
    Path("t.bin").write_bytes(encoding.encode(picture, Quality(400), fake.network()))
    return "t.bin"


def test_region(tiled_bin: str, china: np.ndarray):
    ok("decode", tiled_bin, "c.png", "--region", "60,50,70,40")
    np.testing.assert_array_equal(np.asarray(Image.open("c.png")), china[50:90, 60:130])


@pytest.mark.parametrize("region", ["1,2,3", "a,b,c,d", "1,2,3,4,5", "1.5,0,2,2", ""])
def test_regions_that_make_no_sense(tiled_bin: str, region: str):
    fails(2, "four whole numbers", "decode", tiled_bin, "c.png", "--region", region)


def test_region_outside(tiled_bin: str):
    fails(
        1, "is not inside the 192x128 pixels", "decode", tiled_bin, "c.png", "--region", "0,0,193,1"
    )
    assert not Path("c.png").exists()


def test_info_tells_of_tiles(tiled_bin: str, a_bin: str):
    assert "6 tiles of 64x64, " in ok("info", tiled_bin).stdout
    assert "tiles" not in ok("info", a_bin).stdout
    row = json.loads(ok("info", "--json", tiled_bin).stdout)
    assert (row["tiles"], row["tile_width"], row["tile_height"]) == (6, 64, 64)


def test_salvage(tiled_bin: str, a_bin: str, china: np.ndarray):
    data = bytearray(Path(tiled_bin).read_bytes())
    data[len(data) - 200] ^= 1  # in the last tile
    Path("d.bin").write_bytes(data)
    fails(1, "--salvage", "decode", "d.bin", "c.png")
    assert not Path("c.png").exists()
    result = lictor("decode", "d.bin", a_bin, "out", "--salvage", "--json")
    assert result.exit_code == 1
    assert "lictor: d.bin: the tile of 64x64 pixels at 128,64 is painted over" in result.stderr
    found = np.array(Image.open("out/d.png"))
    expected = china[:128, :192].copy()
    found[64:, 128:] = expected[64:, 128:] = 0
    np.testing.assert_array_equal(found, expected)
    assert [json.loads(line)["width"] for line in result.stdout.splitlines()] == [192, 45]
    assert ok("decode", a_bin, "e.png", "--salvage").stderr.count("\n") == 1


def test_salvage_of_a_file_cut_short(tiled_bin: str):
    Path("d.bin").write_bytes(Path(tiled_bin).read_bytes()[:8000])
    result = lictor("decode", "d.bin", "c.png", "--salvage")
    assert result.exit_code == 1
    assert "the file ends after 8000 bytes" in result.stderr
    with Image.open("c.png") as picture:
        assert picture.size == (192, 128)


# ---- what pictures come with


def test_what_was_changed_is_said(photo: np.ndarray):
    Image.fromarray(photo).convert("CMYK").save("a.jpg")
    result = ok("encode", "a.jpg", "a.bin", "--json", *MODEL)
    assert "lictor: a.jpg: is CMYK; converted to sRGB" in result.stderr
    assert "CMYK" in json.loads(result.stdout)["notes"][0]
    frames = [Image.new("L", (4, 4), v) for v in (0, 255)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    assert "lictor: a.gif: has 2 frames" in ok("encode", "a.gif", "b.bin", *MODEL).stderr


def test_alpha_and_metadata_through_files(photo: np.ndarray):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    picture = Image.fromarray(photo).convert("RGBA")
    picture.putalpha(picture.getchannel("G").point(lambda level: max(level, 1)))
    picture.save("a.png", exif=exif, icc_profile=bytes(500))
    ok("encode", "a.png", "a.bin", "-q", "100", *MODEL)
    line = ok("info", "a.bin").stdout
    assert "RGB with alpha" in line and "of alpha" in line and "of EXIF" in line
    ok("decode", "a.bin", "b.png")
    with Image.open("b.png") as again:
        assert again.getexif()[0x010F] == "Maker" and again.info["icc_profile"] == bytes(500)
        np.testing.assert_array_equal(np.asarray(again), np.asarray(picture))
    result = ok("encode", "a.png", "c.bin", "--strip", *MODEL)
    assert "colours may look different" in result.stderr
    assert "EXIF" not in ok("info", "c.bin").stdout


def test_pictures_larger_than_pillow_opens_by_itself(a_png: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    ok("encode", a_png, "a.bin", *MODEL)
    assert Image.MAX_IMAGE_PIXELS == 2**30  # Pillow refuses above twice this: 40,000x40,000 passes


def test_16_bits_through_files(photo: np.ndarray):
    with open("a.png", "wb") as file:
        pillow.write(Picture(photo.astype(np.uint16) * 257), file)
    ok("encode", "a.png", "a.bin", "-q", "100", *MODEL)
    for name in ("b.png", "b.tif"):
        ok("decode", "a.bin", name)
        np.testing.assert_array_equal(pillow.read(name).pixels, photo.astype(np.uint16) * 257)
    assert "written as JPEG with 8" in ok("decode", "a.bin", "b.jpg").stderr


# ---- files that fail: status 1


def test_not_an_image():
    Path("a.png").write_text("hello")
    fails(1, "lictor: a.png: not a picture", "encode", "a.png", "b.bin", *MODEL)
    assert listing() == ["a.png"]


def test_truncated_image(a_png: str):
    data = Path(a_png).read_bytes()
    Path(a_png).write_bytes(data[: len(data) // 2])
    fails(1, "lictor: a.png: the picture ends early", "encode", a_png, "b.bin", *MODEL)


def test_float_image():
    Image.new("F", (4, 4), -1.5).save("a.tif")
    fails(
        1,
        "lictor: a.tif: is of floating-point numbers from -1.5",
        "encode",
        "a.tif",
        "b.bin",
        *MODEL,
    )


def test_transparent_picture_to_a_format_without_alpha():
    Image.new("RGBA", (4, 4)).save("a.png")
    ok("encode", "a.png", "a.bin", *MODEL)
    fails(1, "lictor: a.bin: cannot be written as JPEG", "decode", "a.bin", "b.jpg")


def test_truncated_bin(a_bin: str):
    data = Path(a_bin).read_bytes()
    Path(a_bin).write_bytes(data[:-1])
    for command in (["decode", a_bin, "b.png"], ["info", a_bin]):
        fails(1, f"lictor: a.bin: the file ends after {len(data) - 1} bytes", *command)


def test_other_magic(a_png: str):
    for command in (["decode", a_png, "b.png"], ["info", a_png]):
        fails(1, "lictor: a.png: not a Lictor file", *command)


def test_bin_of_a_model_that_is_not_here(a_bin: str, monkeypatch: pytest.MonkeyPatch):
    def find(*_: object) -> None:
        raise models.UnknownModel("written with shipped model number 9; upgrade lictor")

    monkeypatch.setattr(models, "find", find)
    fails(1, "lictor: a.bin: written with shipped model number 9", "decode", a_bin, "b.png")


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_nothing_is_overwritten_on_failure(command: str):
    Path("a.bin").write_text("hello")
    Path("b.png").write_bytes(b"precious")
    Path("b.bin").write_bytes(b"precious")
    lictor(command, "a.bin", "b.png" if command == "decode" else "b.bin")
    assert Path("b.png").read_bytes() == Path("b.bin").read_bytes() == b"precious"
    assert listing() == ["a.bin", "b.bin", "b.png"]


def test_picture_that_the_output_format_does_not_hold(fake: ModuleType):
    Path("a.bin").write_bytes(
        encoding.encode(Picture(np.zeros((1, 17_000, 1), np.uint8)), Quality(0), fake.network())
    )
    fails(1, "lictor: a.bin: cannot be written as WEBP", "decode", "a.bin", "b.webp")
    assert listing() == ["a.bin"]


def test_the_others_are_done(a_png: str, photo: np.ndarray):
    Path("bad.png").write_text("hello")
    Image.fromarray(photo).save("c.png")
    result = lictor("encode", "a.png", "bad.png", "c.png", "out", "--json", *MODEL)
    assert result.exit_code == 1
    error, summary = result.stderr.splitlines()
    assert error.startswith("lictor: bad.png: not a picture")
    assert summary.startswith("2 files: ") and summary.endswith("; 1 failed")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["input"] for row in rows] == ["a.png", "bad.png", "c.png"]
    assert "not a picture" in rows[1]["error"]
    assert sorted(os.listdir("out")) == ["a.bin", "c.bin"]


def test_unreadable_file(a_png: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pillow, "read", refuse)
    fails(1, "lictor: a.png: cannot be read: Permission denied", "encode", a_png, "b.bin", *MODEL)


def test_output_that_cannot_be_written(a_png: str, a_bin: str):
    Path("out").mkdir()
    Path("out/a.bin").mkdir()
    fails(1, "lictor: a.png: cannot write out/a.bin: ", "encode", a_png, "out", *MODEL)
    assert listing() == ["a.bin", "a.png"]


def test_a_bug_is_named_without_a_traceback(
    a_png: str, fake: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(fake.Fake, "encode", fail)
    reason = "lictor: a.png: unexpected ZeroDivisionError: two lines; please report"
    fails(1, reason, "encode", a_png, "b.bin", *MODEL)
    monkeypatch.setenv("LICTOR_DEBUG", "1")
    assert "Traceback" in lictor("encode", a_png, "b.bin", *MODEL).stderr


def test_name_with_control_characters():
    Path("a\nb\x1b[2J.png").write_text("hello")
    fails(1, r"lictor: 'a\nb\x1b[2J.png': not a picture", "encode", "a\nb\x1b[2J.png", "b.bin")


# ---- commands that cannot start: status 2


@pytest.mark.parametrize(
    "args, reason",
    [
        (["encode", "none.png", "b.bin"], "lictor: none.png: no such file"),
        (["decode", "none.bin", "b.png"], "lictor: none.bin: no such file"),
        (["info", "none.bin"], "lictor: none.bin: no such file"),
        (["verify", "none.png"], "lictor: none.png: no such file"),
        (["encode", "empty", "out"], "lictor: empty: the folder holds no pictures"),
        (["decode", "empty", "out"], "lictor: empty: the folder holds no .bin or .lictor files"),
        (["encode", "a.png"], "lictor: a.png: an input and an output are needed"),
        (["encode", "a.png", "b.png"], "lictor: b.png: is a picture's name"),
        (["encode", "a.png", "a.png"], "lictor: a.png: is both input and output"),
        (["decode", "a.png", "b.bin"], "lictor: b.bin: cannot write a picture there: .bin is not"),
        (["decode", "a.png", "b"], "lictor: b: cannot write a picture there: its name has no"),
        (["encode", "a.png", "-", "--json"], "lictor: --json and the output -"),
        (["encode", "a.png", "b.bin", "--model", "none.such"], "lictor: unknown model 'none.such'"),
        (["verify", "a.png", "--model", "none.such"], "lictor: unknown model 'none.such'"),
        (["encode", "a.png", "b.bin", "-q", "101"], "lictor encode: Invalid value for '-q'"),
        (["encode", "a.png", "b.bin", "-q", "nan"], "lictor: quality is nan"),
        (["encode", "a.png", "b.bin", "-q", "high"], "lictor encode: Invalid value for '-q'"),
        (["encode", "a.png", "b.bin", "--effort", "10"], "Invalid value for '--effort'"),
        (["encode", "a.png", "b.bin", "--effort", "1", *MODEL], "has no encoder-side search"),
        (["verify", "a.png", "--effort", "1", *MODEL], "has no encoder-side search"),
        (["encode", "a.png", "b.bin", "--roi", "none.png"], "--roi none.png: neither a box"),
        (["encode", "a.png", "b.bin", "--roi", "1,2,3"], "--roi 1,2,3: neither a box"),
        (["encode", "a.png", "b.bin", "--roi-drop", "0"], "Invalid value for '--roi-drop'"),
        (["encode", "a.png", "b.bin", "--roi-task", "guess"], "Invalid value for '--roi-task'"),
        (
            ["encode", "a.png", "b.bin", "--roi", "1,2,3,4", "--roi-task", "classify"],
            "lictor: --roi-task finds its own region",
        ),
        (["encode", "--what"], "lictor encode: No such option"),
        (["encode"], "lictor encode: Missing argument"),
        (["enc"], "lictor: No such command 'enc'"),
    ],
)
def test_usage(a_png: str, args: list[str], reason: str):
    Path("empty").mkdir()
    fails(2, reason, *args)
    assert listing() == ["a.png"]


def test_effort_that_a_benchmark_cannot_have(a_png: str):
    """What is left out for want of packages may be said before."""
    result = lictor("bench", a_png, "--effort", "1", "--codecs", MODEL[1])
    assert result.exit_code == 2
    assert "has no encoder-side search" in result.stderr.splitlines()[-1]


def test_bare_command_shows_its_help():
    result = lictor()
    assert result.exit_code == 2
    assert "Commands:" in result.output and "Traceback" not in result.output


def test_nothing_binary_goes_to_a_terminal(a_png: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inputs, "sys", Terminal)
    fails(2, "would go to the terminal", "encode", a_png, "-", *MODEL)


class Terminal:
    """Stands for `sys` where standard output is a terminal."""

    class stdout:
        @staticmethod
        def isatty() -> bool:
            return True


# ---- info, models, verify


def test_info(a_bin: str, fake: ModuleType):
    line = ok("info", a_bin).stdout
    assert line.startswith("a.bin: 45x31 RGB, 8 bits, fake.pixels (weights ")
    assert fake.SHIPPED.digest[:4].hex() in line
    row = json.loads(ok("info", a_bin, "--json").stdout)
    expected = vars(api.info(Path(a_bin).read_bytes()))
    assert {key: row[key] for key in expected} == expected
    assert row["input"] == a_bin
    assert "45x31" in ok("info", "-", stdin=Path(a_bin).read_bytes()).stdout


def test_info_of_several_with_one_bad(a_bin: str):
    Path("b.bin").write_text("hello")
    result = lictor("info", "a.bin", "b.bin")
    assert result.exit_code == 1
    assert result.stdout.startswith("a.bin: ")
    assert result.stderr.startswith("lictor: b.bin: not a Lictor file")


def test_models(monkeypatch: pytest.MonkeyPatch, fake: ModuleType, tmp_path: Path):
    from lictor.models import zoo

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lictor-s.mine.safetensors").write_bytes(bytes(2_500_000))
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(tmp_path / "mine"))
    monkeypatch.setattr(zoo, "index", fake.index)
    lines = ok("models").stdout.splitlines()
    assert lines[0].split() == ["fake.pixels", "missing", "a", "fake"]
    assert lines[1].split() == ["lictor-s.mine", "2.5", "MB", "your", "own"]
    rows = [json.loads(line) for line in ok("models", "--json").stdout.splitlines()]
    assert [(row["name"], row["id"]) for row in rows] == [("fake.pixels", 7), ("lictor-s.mine", 0)]


def test_verify(a_png: str):
    line = ok("verify", a_png, "-q", "80", *MODEL).stdout
    assert line.startswith("a.png: ok; ") and " dB, " in line
    row = json.loads(ok("verify", a_png, "-q", "100", "--json", *MODEL).stdout)
    assert row["ok"] is True and row["psnr"] is None  # lossless; JSON has no infinity
    assert row["bytes"] > 0


def test_verify_that_finds_something(a_png: str, fake: ModuleType, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fake.Fake, "estimate", lambda *_: 8.0)
    result = lictor("verify", a_png, *MODEL)
    assert result.exit_code == 1
    assert "a.png: DISAGREES: size" in result.stdout


def test_progress_bar_only_where_someone_sees_it(
    a_png: str, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    from lictor.codec.cli import batch as module

    Image.fromarray(photo).save("b.png")
    Path("bad.png").write_text("hello")
    quiet = lictor("encode", "a.png", "b.png", "out", *MODEL)
    assert "%" not in quiet.stderr

    class Screen(module.Screen):
        def progress(self, files, count):  # the runner's stream says it is no terminal
            monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True)
            return super().progress(files, count)

    monkeypatch.setattr(module, "Screen", Screen)
    shown = lictor("encode", "a.png", "b.png", "bad.png", "out", *MODEL)
    assert "0/3" in shown.stderr
    assert "lictor: bad.png: not a picture" in shown.stderr
    assert shown.stdout == ""


def test_progress_of_steps_only_where_someone_sees_it(
    a_png: str, fake: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    from lictor.codec.cli import file_jobs as module

    def search(self, x, quality, encoder, effort, progress, tile):
        progress(1, 2)
        self.encode(x, quality, encoder, tile)
        return 8.0

    monkeypatch.setattr(fake.Fake, "search", search)
    arguments = ("encode", "a.png", "b.bin", "--effort", "2", *MODEL)
    quiet = ok(*arguments)
    original = module._steps_bar

    def on_a_terminal():
        monkeypatch.setattr(type(module.sys.stderr), "isatty", lambda _: True)
        return original()

    monkeypatch.setattr(module, "_steps_bar", on_a_terminal)
    shown = ok(*arguments)
    assert "1/2" in shown.stderr and "step" not in quiet.stderr
    plain = ok("encode", "a.png", "b.bin", *MODEL)
    assert "step" not in plain.stderr


@pytest.mark.parametrize(
    "command",
    [[], ["encode"], ["decode"], ["info"], ["models"], ["verify"], ["classify"], ["distil"]],
)
def test_help(command: list[str]):
    assert ok(*command, "--help").stdout.startswith("Usage: lictor")
    assert ok(*command, "-h").stdout.startswith("Usage: lictor")


def test_version():
    assert ok("--version").stdout.split()[0] == "lictor"


# ---- pictures that are cut, files that are left out


def test_a_cut_picture_is_refused_or_salvaged(photo: np.ndarray):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    Path("cut.png").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
    fails(1, "rows of pixels missing", "encode", "cut.png", "a.bin", *MODEL)
    assert not Path("a.bin").exists()
    result = lictor("encode", "cut.png", "a.bin", *MODEL, "--salvage", "--json")
    assert result.exit_code == 1
    row = json.loads(result.stdout)
    assert row["ok"] is False and "painted over" in row["notes"][0]
    assert "cut.png: ends early" in result.stderr
    assert api.decode(Path("a.bin").read_bytes()).size == (45, 31)


def test_what_a_folder_holds_beside_pictures_is_said(a_png: str):
    os.mkdir("in")
    os.rename(a_png, "in/a.jfif")
    Path("in/notes.txt").touch()
    result = ok("encode", "in", "out", *MODEL)
    assert "lictor: 1 other files in folders are left out: 1 .txt" in result.stderr
    assert listing() == ["in/a.jfif", "in/notes.txt", "out/a.bin"]


def test_an_output_that_loses_something_says_so(photo: np.ndarray):
    alpha = np.full(photo.shape[:2], 99, np.uint8)
    Image.fromarray(np.dstack([photo, alpha])).save("a.png")
    ok("encode", "a.png", "a.bin", *MODEL)
    assert "its alpha is not kept in BMP" in ok("decode", "a.bin", "a.bmp").stderr
    result = ok("decode", "a.bin", "a.ico")
    assert "kept" not in result.stderr
    with Image.open("a.ico") as icon:
        assert icon.size == (45, 31)

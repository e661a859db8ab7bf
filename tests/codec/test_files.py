"""Which file goes where, and that an output is there whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from lictor.codec import inputs as files
from lictor.codec.inputs import BINS, PICTURES, CannotWrite, Job, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def planned(inputs: list[str], output: str) -> list[tuple[str, str]]:
    return [(job.source, job.target) for job in files.plan(inputs, output, PICTURES, ".bin")]


def at(*parts: str) -> str:
    return os.path.join(*parts)


# ---- pairing inputs and outputs


def test_file_to_file():
    touch("a.png")
    assert planned(["a.png"], "b.bin") == [("a.png", "b.bin")]


def test_file_into_a_folder():
    touch("in/a.b.png", "out/x")
    assert planned(["in/a.b.png"], "out") == [("in/a.b.png", at("out", "a.b.bin"))]
    assert planned(["in/a.b.png"], "new/") == [("in/a.b.png", at("new/", "a.b.bin"))]


def test_several_files_into_a_folder():
    touch("a.png", "d/b.jpg")
    assert planned(["a.png", "d/b.jpg"], "out") == [
        ("a.png", at("out", "a.bin")),
        ("d/b.jpg", at("out", "b.bin")),
    ]


def test_folder_through_all_levels_in_order():
    touch(
        "in/b.PNG", "in/a/c.jpeg", "in/a/d/e.webp", "in/notes.txt", "in/.hidden.png", "in/.g/f.png"
    )
    assert planned(["in"], "out") == [
        (at("in", "a", "c.jpeg"), at("out", "a", "c.bin")),
        (at("in", "a", "d", "e.webp"), at("out", "a", "d", "e.bin")),
        (at("in", "b.PNG"), at("out", "b.bin")),
    ]


def test_names_that_would_meet_keep_their_extensions():
    touch("in/a.png", "in/A.jpg", "in/b.png")
    assert sorted(target for _, target in planned(["in"], "out")) == [
        at("out", "A.jpg.bin"),
        at("out", "a.png.bin"),
        at("out", "b.bin"),
    ]


@pytest.mark.parametrize(
    "names, targets",
    [
        (["A.png", "a.png"], ["A.png.bin", "a.png-2.bin"]),
        (["A.png", "a.png", "a.jpg"], ["A.png.bin", "a.jpg.bin", "a.png-2.bin"]),
        (["A.PNG", "A.png", "a.png"], ["A.PNG.bin", "A.png-2.bin", "a.png-3.bin"]),
        (["A.png", "a.png", "a.png-2.png"], ["A.png.bin", "a.png-3.bin", "a.png-2.bin"]),
        (["D/x.png", "d/x.png"], ["D/x.png.bin", "d/x.png-2.bin"]),
        (["caf\u00e9.png", "cafe\u0301.png"], ["cafe\u0301.png.bin", "caf\u00e9.png-2.bin"]),
    ],
)
def test_names_that_some_file_systems_take_for_one(
    names: list[str], targets: list[str], capsys: pytest.CaptureFixture[str]
):
    """All keep a file of their own, the same in every run, and who was renamed is said."""
    touch(*(f"in/{name}" for name in names))
    if len(list(Path("in").rglob("*.*"))) < len(names):
        pytest.skip("this file system is such a one")
    found = [target for _, target in planned(["in"], "out")]
    assert found == [at("out", *target.split("/")) for target in targets]
    assert len({name.casefold() for name in found}) == len(names)
    said = capsys.readouterr().err.splitlines()
    assert said and all("to some file systems" in line for line in said)


@pytest.mark.parametrize("inputs", [["x/a.png", "y/a.png"], ["x", "y"]])
def test_names_that_meet_all_the_same(inputs: list[str]):
    touch("x/a.png", "y/a.png")
    with pytest.raises(UsageError, match="would both become"):
        planned(inputs, "out")


def test_a_file_named_outright_may_have_any_extension():
    touch("scan")
    assert planned(["scan"], "out.bin") == [("scan", "out.bin")]


def test_streams():
    touch("a.png")
    assert planned(["-"], "a.bin") == [("-", "a.bin")]


@pytest.mark.parametrize(
    "inputs, output, reason",
    [
        (["none.png"], "out.bin", "none.png: no such file"),
        (["a.png", "none.png"], "out", "none.png: no such file"),
        (["empty"], "out", "empty: the folder holds no pictures"),
        (["a.png", "b.png"], "b.png", "b.png: is a file; several"),
        (["full"], "a.png", "a.png: is a file; several"),
        (["a.png"], "new/a.bin", "new: no such folder"),
        (["a.png"], "a.png", "a.png: is both input and output"),
        (["a.png"], "./full/../a.png", "is both input and output"),
        (["-", "a.png"], "out", "must be the only input"),
        (["-"], "full", "standard input has no name"),
        (["a.png", "b.png"], "-", "takes one file"),
        (["full"], "-", "takes one file"),
    ],
)
def test_commands_that_cannot_start(inputs: list[str], output: str, reason: str):
    touch("a.png", "b.png", "full/c.png")
    Path("empty").mkdir()
    Path("empty/readme.txt").touch()
    with pytest.raises(UsageError, match=reason):
        planned(inputs, output)


def test_output_that_is_another_input():
    touch("in/a", "in/a.bin")
    with pytest.raises(UsageError, match="both input and output"):
        planned(["in/a", "in/a.bin"], "in")


def test_output_that_is_the_input_by_a_link():
    touch("a.png")
    os.symlink("a.png", "b.png")
    with pytest.raises(UsageError, match="both input and output"):
        planned(["a.png"], "b.png")


def test_folder_of_bins():
    touch("in/a.bin", "in/a.png")
    assert files.plan(["in"], "out", BINS, ".png") == [Job(at("in", "a.bin"), at("out", "a.png"))]
    Path("in/a.bin").unlink()
    with pytest.raises(UsageError, match=r"no \.bin or \.lictor files"):
        files.plan(["in"], "out", BINS, ".png")


def test_names_are_shown_on_one_line():
    assert files.show("größe 1.png") == "größe 1.png"
    assert files.show("a\nb\x1b.png") == r"'a\nb\x1b.png'"


# ---- reading


def test_of_another_kind_of_file_only_the_beginning_is_read():
    Path("big").write_bytes(bytes(100_000))
    assert len(files.read_bin("big")) <= 4096
    Path("good").write_bytes(b"LIC" + bytes(100_000))
    assert len(files.read_bin("good")) == 100_003


# ---- writing


def leftovers() -> list[str]:
    return [name for name in os.listdir() if name.endswith(".tmp")]


def test_writes_and_makes_folders():
    with files.replacing("new/folder/a.bin") as file:
        file.write(b"whole")
        assert not Path("new/folder/a.bin").exists()
    assert os.listdir("new/folder") == ["a.bin"]
    assert Path("new/folder/a.bin").read_bytes() == b"whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("existing", [True, False])
def test_nothing_is_left_after_an_error(error: type[BaseException], existing: bool):
    if existing:
        Path("a.bin").write_bytes(b"before")
    with pytest.raises(error), files.replacing("a.bin") as file:
        file.write(b"half")
        raise error
    assert os.listdir() == (["a.bin"] if existing else [])
    assert not existing or Path("a.bin").read_bytes() == b"before"


def test_disk_is_full():
    Path("a.bin").write_bytes(b"before")
    reason = r"cannot write a\.bin: No space left"
    with pytest.raises(CannotWrite, match=reason), files.replacing("a.bin") as file:
        file.write(b"half")
        raise OSError(28, "No space left on device")
    assert os.listdir() == ["a.bin"]
    assert Path("a.bin").read_bytes() == b"before"


def test_keeps_the_mode_of_what_it_replaces():
    touch("a.bin")
    os.chmod("a.bin", 0o640)
    with files.replacing("a.bin") as file:
        file.write(b"new")
    assert stat.S_IMODE(os.stat("a.bin").st_mode) == 0o640


def test_new_files_have_the_usual_mode():
    touch("usual")
    with files.replacing("a.bin") as file:
        file.write(b"new")
    assert os.stat("a.bin").st_mode == os.stat("usual").st_mode


def test_writes_through_links():
    touch("real/a.bin")
    os.symlink("real/a.bin", "link.bin")
    with files.replacing("link.bin") as file:
        file.write(b"new")
    assert os.path.islink("link.bin")
    assert Path("real/a.bin").read_bytes() == b"new"


def test_write_protected_file(monkeypatch: pytest.MonkeyPatch):
    touch("a.bin")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as root, nothing is protected
    with pytest.raises(CannotWrite, match="write-protected"), files.replacing("a.bin"):
        pass
    assert Path("a.bin").read_bytes() == b"x"


def test_output_name_is_a_folder():
    Path("a.bin").mkdir()
    with pytest.raises(CannotWrite, match="cannot write"), files.replacing("a.bin") as file:
        file.write(b"new")
    assert os.listdir() == ["a.bin"]


def test_longest_name_that_a_folder_takes():
    name = "x" * 251 + ".bin"
    with files.replacing(name) as file:
        file.write(b"new")
    assert os.listdir() == [name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_written_into_not_replaced():
    os.mkfifo("pipe")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(Path("pipe").read_bytes()))
    reader.start()
    with files.replacing("pipe") as file:
        file.write(b"through")
    reader.join(10)
    assert received == [b"through"]
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    with files.replacing(os.devnull) as file:
        file.write(b"away")
    assert not os.path.isfile(os.devnull)


# ---- what is left out


def test_what_a_folder_holds_beside_pictures_is_counted():
    touch("in/a.png", "in/b.JFIF", "in/c.dib", "in/d.ico", "in/d/e.apng")
    assert len(files.find(["in"], PICTURES)) == 5
    assert files.left_out(["in"], PICTURES) == ""
    touch("in/notes.txt", "in/d/more.txt", "in/f.svg", "in/README", "in/.hidden.txt")
    assert files.left_out(["in", "in/a.png"], PICTURES) == (
        "4 other files in folders are left out: 2 .txt, 1 .svg, 1 no extension"
    )


def test_every_extension_is_read_by_pillow():
    """Those of a folder's pictures, and only their names are other than Pillow's."""
    from PIL import Image

    Image.init()
    known = {suffix for suffix, format in Image.EXTENSION.items() if format in Image.OPEN}
    assert known | {".jif", ".mpo"} >= PICTURES  # JPEG, whose plugin opens MPO

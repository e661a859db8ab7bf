"""Plans, shards, commits: nothing lost, nothing twice, nothing half, and all without a cluster."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import load, save

sys.path.insert(0, str(Path(__file__).parent))  # the processes of coders import it, too
import bulk_work
from bulk_runs import WANTED, Alone, Quiet, done, packed, samples

from lictor.codec import decode
from lictor.codec.bulk import SIZE, manifest, plan, run_mark, sources, storage, tars
from lictor.codec.bulk.coder import Coder
from lictor.codec.bulk.manifest import Head
from lictor.codec.bulk.part import Failure, Task
from lictor.codec.bulk.plan import Part, Plan
from lictor.codec.bulk.run import Order, run
from lictor.codec.bulk.samples import DamagedShard, Piece, Wanted
from lictor.codec.cli.main import cli
from lictor.codec.inputs import DiskFull, UsageError
from lictor.models import zoo


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lictor.codec.bulk.run.PAUSE", 0.0)
    monkeypatch.setattr(storage, "FIRST_WAIT", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty pictures, one of them bad, with a label beside each."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i:02}.png").write_bytes(b"bad" if i == 7 else b"picture %d" % i)
        (folder / f"{i:02}.json").write_text(json.dumps({"label": i}))
    return folder


def unpacked(target: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(target.glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                assert info.name not in found, "twice"
                file = tar.extractfile(info)
                assert file is not None
                found[info.name] = file.read()
    return found


# ---- what comes out


def test_a_folder_becomes_shards(folder: Path, tmp_path: Path):
    result, coder, _ = done(folder, tmp_path / "out")
    assert not result.ok and result.total("items") == 20 and result.total("failed") == 1
    found = unpacked(tmp_path / "out")
    for i in range(20):
        if i == 7:  # left out, with what belongs to it
            assert f"{i:02}.bin" not in found and f"{i:02}.json" not in found
            continue
        assert found[f"{i:02}.bin"] == (b"picture %d" % i)[::-1]
        assert json.loads(found[f"{i:02}.json"]) == {"label": i}
    rows = list(manifest.rows(str(tmp_path / "out")))
    assert [row["input"] for row in rows] == [f"{folder}/{i:02}.png" for i in range(20)]
    assert [row["error"] for row in rows if "error" in row] == ["is bad"]
    assert sorted(coder.coder.seen) == [f"{i:02}.png" for i in range(20)]


def test_a_rerun_does_nothing_twice(folder: Path, tmp_path: Path):
    done(folder, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/**/*")}
    result, executor, _ = done(folder, tmp_path / "out")
    assert executor.coder.seen == [] and result.total("items") == 20
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/**/*")}
    _, executor, _ = done(folder, tmp_path / "out", again=True)
    assert executor.coder.seen == ["06.png", "07.png", "08.png"]


def test_other_options_are_refused(folder: Path, tmp_path: Path):
    done(folder, tmp_path / "out")
    order = Order((str(folder),), str(tmp_path / "out"), bulk_work.turned, WANTED, {"options": "x"})
    with pytest.raises(UsageError, match="begun with other options"):
        run(order, Alone(), Quiet())


def test_names_that_meet_stay_apart(tmp_path: Path):
    names = ("a.png", "a.jpg", "b.png", "b.png", "b.png")
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        for n, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"%d" % n))
    done(tmp_path / "in.tar", tmp_path / "out", items=9)
    expected = {"a.bin": b"0", "a.jpg.bin": b"1", "b.bin": b"2", "b.png.bin": b"3"}
    assert unpacked(tmp_path / "out") == {**expected, "b.png-2.bin": b"4"}


def test_links_are_named(tmp_path: Path):
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "a.png"
        tar.addfile(link)
    result, _, _ = done(tmp_path / "in.tar", tmp_path / "out")
    assert unpacked(tmp_path / "out") == {"a.bin": b"x"} and result.total("failed") == 1


# ---- tars, cut and damaged


@pytest.mark.parametrize("items", [1, 4, 1000])
def test_a_tar_in_pieces_holds_what_it_holds(tmp_path: Path, items: int):
    files = samples(60)
    path = packed(tmp_path / "in.tar", files)
    whole = Piece("tar", str(path), size=path.stat().st_size)
    pieces = sources.cut(whole, items, 2**40, WANTED)
    assert sum(piece.items for piece in pieces) == 60 and len(pieces) == -(-60 // items)
    found = [s for piece in pieces for s in sources.read(piece, WANTED)]
    assert all(len(sample.members) == 2 for sample in found)
    assert {m.name: m.data for sample in found for m in sample.members} == files


def test_a_tar_that_is_cut_is_never_taken_for_whole(tmp_path: Path):
    path = packed(tmp_path / "in.tar", samples(12))
    data = path.read_bytes()
    cut = Piece("tar", str(tmp_path / "cut.tar"))
    with tarfile.open(path) as tar:
        end = max(info.offset_data + -(-info.size // 512) * 512 for info in tar)
    for length in range(0, end + 1, 173):
        Path(cut.path).write_bytes(data[:length])
        with pytest.raises(DamagedShard):
            list(tars.read(cut, WANTED))
    Path(cut.path).write_bytes(data[: end + 512])
    assert len(list(tars.read(cut, WANTED))) == 12


def test_a_damaged_header_is_not_the_end(tmp_path: Path):
    path = packed(tmp_path / "in.tar", samples(12))
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        place = tar.getmembers()[9].offset
    data[place + 150] ^= 0xFF
    path.write_bytes(data)
    result, _, _ = done(path, tmp_path / "out", items=3)
    [error] = [row for row in manifest.rows(str(tmp_path / "out")) if "error" in row]
    assert "damaged" in error["error"] and result.total("items") - result.total("failed") == 4


def test_a_compressed_tar(tmp_path: Path):
    files = samples(5)
    with tarfile.open(tmp_path / "in.tar.gz", "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    result, _, _ = done(tmp_path / "in.tar.gz", tmp_path / "out")
    assert result.ok and result.total("items") == 5
    data = (tmp_path / "in.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(data[: len(data) // 2])
    result, _, _ = done(tmp_path / "cut.tar.gz", tmp_path / "out2")
    assert not result.ok


# ---- runs that end at any place


class Ended(BaseException):
    """The driver is killed."""


def test_whatever_ends_a_run_the_next_does_the_rest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done(folder, tmp_path / "whole")
    wanted = {p.name: p.read_bytes() for p in (tmp_path / "whole").glob("*.tar")}
    true = storage.Local.writing
    for fatal in range(20):  # the plan, the mark, and twice for each of seven parts
        target, count = tmp_path / f"out{fatal}", iter(range(100))

        @contextmanager
        def writing(self: Any, path: str) -> Iterator[Any]:
            with true(self, path) as file:
                yield file
                if next(count) == fatal:  # noqa: B023
                    raise Ended

        with monkeypatch.context() as patch:
            patch.setattr(storage.Local, "writing", writing)
            if fatal < 16:
                with pytest.raises(Ended):
                    done(folder, target)
            else:
                done(folder, target)
        committed = len(manifest.heads(str(target)))
        assert committed == max(0, min(7, (fatal - 2) // 2))
        result, executor, watch = done(folder, target)
        assert watch.left == 7 - committed
        assert len(executor.coder.seen) == sum(
            min(3, 20 - 3 * part) for part in range(committed, 7)
        )
        assert result.total("items") == 20 and not result.missing
        assert {p.name: p.read_bytes() for p in target.glob("*.tar")} == wanted
        assert not [p for p in target.rglob("*") if ".tmp" in p.name]


def test_a_full_disk_ends_the_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    true, count = storage.Local.writing, iter(range(100))

    @contextmanager
    def writing(self: Any, path: str) -> Iterator[Any]:
        if next(count) >= 6:
            raise DiskFull("cannot write: No space left on device")
        with true(self, path) as file:
            yield file

    with monkeypatch.context() as patch:
        patch.setattr(storage.Local, "writing", writing)
        result, _, watch = done(folder, tmp_path / "out")
    assert len(result.heads) == 2 and len(result.missing) == 5 and not result.ok
    assert len(watch.said) == 1 and "No space" in watch.said[0]
    result, _, watch = done(folder, tmp_path / "out")
    assert watch.left == 5 and not result.missing


def test_a_shard_that_is_half_there_is_made_again(folder: Path, tmp_path: Path):
    done(folder, tmp_path / "out")
    shard = tmp_path / "out" / "part-000003.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:700])
    (tmp_path / "out" / "manifest" / "part-000005.jsonl").write_bytes(b"")
    for folder in ("out", "out/manifest"):
        (tmp_path / folder / ".lictor-1-0123456789abcdef.tmp").write_bytes(b"half")
    _, _, watch = done(folder, tmp_path / "out")
    assert watch.left == 2 and shard.read_bytes() == whole
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_run_that_was_given_up_does_not_write_any_more(folder: Path, tmp_path: Path):
    target = str(tmp_path / "out")
    order = Order((str(folder),), target, bulk_work.turned, WANTED, {}, 3)

    class Late(Alone):
        def run(self, parts: Sequence[Part], task: Task) -> Iterator[tuple[Part, Head | Failure]]:
            run_mark.take(target)
            yield from super().run(parts, task)

    with pytest.raises(UsageError, match="another run has taken it over"):
        run(order, Late(), Quiet())
    assert not list((tmp_path / "out").glob("*.tar"))


# ---- plans


def test_a_plan_is_kept_as_it_was_made(folder: Path, tmp_path: Path):
    packed(folder / "x.tar", samples(40))
    found = sources.find([str(folder)], WANTED)
    parts = plan.make(found, WANTED, 0, SIZE, workers=2)
    assert all(part.items <= 8 for part in parts) and sum(part.items for part in parts) == 60
    made = Plan({"a": [1]}, parts)
    plan.save(str(tmp_path / "out"), made)
    assert plan.load(str(tmp_path / "out")) == made
    assert plan.make(found, WANTED, 0, SIZE, workers=2) == parts
    large = plan.make(found, WANTED, 1000, 30, workers=2)
    assert max(part.size for part in large if part.pieces[0].form == "file") <= 30


def test_patterns(folder: Path):
    both = sources.find([f"{folder}/0*.png"], WANTED)
    assert [piece.name for piece in both] == [f"0{i}.png" for i in range(10)]
    some = sources.find([f"{folder}/{{03..05}}.png"], WANTED)
    assert [piece.name for piece in some] == ["03.png", "04.png", "05.png"]
    for wrong in (f"{folder}/nothing*", f"{folder}/99.png"):
        with pytest.raises(UsageError):
            sources.find([wrong], WANTED)
    with pytest.raises(UsageError, match="holds nothing to do"):
        sources.find([str(folder)], Wanted(frozenset((".npy",))))


# ---- object stores


@pytest.fixture
def bucket() -> Iterator[Any]:
    """Fsspec's memory file system."""
    fsspec = pytest.importorskip(
        "fsspec", reason="fsspec is not installed: pip install lictor[ray]"
    )
    memory = fsspec.filesystem("memory")
    memory.makedirs("/bucket", exist_ok=True)
    yield memory
    memory.rm("/bucket", recursive=True)


class Failing:
    """Every third request of fsspec's memory file system fails."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        self.asked = 0
        for name in ("find", "cat_file", "open", "exists", "rm_file"):
            patch.setattr(MemoryFileSystem, name, self._failing(getattr(MemoryFileSystem, name)))

    def _failing(self, true: Any) -> Any:
        def ask(*given: Any, **more: Any) -> Any:
            self.asked += 1
            if self.asked % 3 == 0:
                raise ConnectionError("503 Slow Down")
            return true(*given, **more)

        return ask


def test_a_store_that_fails_now_and_then(
    bucket: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.put(str(folder), "/bucket/in", recursive=True)
    with monkeypatch.context() as patch:
        failing = Failing(patch)
        result, _, _ = done("memory://bucket/in", "memory://bucket/out")
        assert failing.asked > 50 and result.total("items") == 20 and not result.missing
        _, executor, _ = done("memory://bucket/in", "memory://bucket/out")
        assert executor.coder.seen == []
    names = {name.rpartition("/")[2] for name in bucket.find("/bucket/out")}
    assert names == {"plan.jsonl", "run"} | {
        f"part-{n:06}.{suffix}" for n in range(7) for suffix in ("tar", "jsonl")
    }


def test_a_store_that_is_away(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("fsspec", reason="fsspec is not installed: pip install lictor[ray]")
    from fsspec.implementations.memory import MemoryFileSystem

    def away(*_: Any, **more: Any) -> Any:
        raise ConnectionError("refused")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", away)
    with pytest.raises(storage.StoreFailed, match=r"failed 6 times: ConnectionError: refused"):
        done(folder, "memory://bucket/away")


def test_a_tar_of_a_store_is_cut_between_samples(bucket: Any, tmp_path: Path):
    files = samples(400)
    data = packed(tmp_path / "in.tar", files).read_bytes()
    bucket.pipe_file("/bucket/in.tar", data)
    whole = Piece("tar", "memory://bucket/in.tar", size=len(data))
    assert sources.cut(whole, 1, len(data) // 4 + 1, WANTED) == [whole]
    pieces = list(sources.cut_all([whole], 1, len(data) // 20, WANTED))
    assert len(pieces) > 12 and pieces[0].start == 0 and pieces[-1].stop == -1
    found = [s for piece in pieces for s in sources.read(piece, WANTED)]
    assert all(len(sample.members) == 2 for sample in found)
    assert {m.name: m.data for sample in found for m in sample.members} == files
    assert sum(piece.size for piece in pieces) == len(data)
    result, _, _ = done("memory://bucket/in.tar", "memory://bucket/out", size=len(data) // 20)
    assert result.ok and result.total("items") == 400 and len(result.heads) == len(pieces)


@pytest.mark.parametrize("suffix", ["tar", "cls"])
def test_tars_in_a_tar_of_a_store(bucket: Any, tmp_path: Path, suffix: str):
    """Their headers are not taken for those of the tar around them; or that is found out."""
    inner = packed(tmp_path / "inner", samples(200)).read_bytes()
    files = {}
    for i in range(8):
        files |= {f"{i}.png": b"%d" % i, f"{i}.{suffix}": inner}
    data = packed(tmp_path / "in.tar", files).read_bytes()
    bucket.pipe_file("/bucket/in.tar", data)
    result, _, _ = done("memory://bucket/in.tar", "memory://bucket/out", size=len(data) // 12)
    if suffix == "tar":
        assert result.ok and result.total("items") == 8
        return
    errors = [row["error"] for row in manifest.rows("memory://bucket/out") if "error" in row]
    assert not result.ok and any("damaged" in error for error in errors)
    result, _, _ = done("memory://bucket/in.tar", "memory://bucket/whole", size=len(data))
    assert result.ok and result.total("items") == 8


# ---- tables


def test_a_table_keeps_its_columns(bucket: Any, tmp_path: Path):
    reason = "pyarrow is not installed: pip install lictor[ray]"
    pa = pytest.importorskip("pyarrow", reason=reason)
    import pyarrow.parquet as pq

    pictures = [b"bad" if i == 4 else None if i == 5 else b"row %d" % i for i in range(30)]
    plain = pa.table({"id": range(30), "image": pictures, "text": [f"t{i}" for i in range(30)]})
    pq.write_table(plain, tmp_path / "plain.parquet", row_group_size=5)
    result, _, _ = done(tmp_path / "plain.parquet", tmp_path / "out", items=10)
    back = pa.concat_tables(pq.read_table(p) for p in sorted((tmp_path / "out").glob("*.parquet")))
    kept = [i for i in range(30) if i not in (4, 5)]
    assert len(result.heads) == 3 and result.total("failed") == 2
    assert back.column("id").to_pylist() == kept and back.schema == plain.schema
    assert back.column("text").to_pylist() == [f"t{i}" for i in kept]
    assert back.column("image").to_pylist() == [(b"row %d" % i)[::-1] for i in kept]

    bucket.put(str(tmp_path / "plain.parquet"), "/bucket/plain.parquet")
    result, _, _ = done("memory://bucket/plain.parquet", "memory://bucket/out", items=10)
    assert len(result.heads) == 3 and result.total("items") == 30

    structs = [{"bytes": b"%d" % i, "path": f"a/{i}.png"} for i in range(4)]
    pq.write_table(pa.table({"image": structs, "x": range(4)}), tmp_path / "hf.parquet")
    done(tmp_path / "hf.parquet", tmp_path / "out2", items=10)
    [path] = (tmp_path / "out2").glob("*.parquet")
    assert pq.read_table(path).column("image").to_pylist() == [
        {"bytes": b"%d" % i, "path": f"{i}.bin"} for i in range(4)
    ]

    data = (tmp_path / "plain.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    result, _, _ = done(tmp_path / "cut.parquet", tmp_path / "out3")
    assert result.total("failed") == 1 and not result.missing

    two = pa.table({"a": [b"x"], "b": [b"y"]})
    pq.write_table(two, tmp_path / "two.parquet")
    with pytest.raises(UsageError, match="say --column NAME"):
        done(tmp_path / "two.parquet", tmp_path / "out4")


# ---- processes


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_what_kills_its_process_is_named_and_left_out():
    coder = Coder(bulk_work.ended, 1)
    names = [f"{i}.png" for i in range(6)]
    groups = [
        (0, [(names[0], b"0"), (names[1], b"1")]),
        (1, [(names[2], b"2"), (names[3], bulk_work.POISON), (names[4], b"4")]),
        (2, []),
        (3, [(names[5], b"5")]),
    ]
    try:
        found = list(coder.each(groups))
    finally:
        coder.close()
    assert [number for number, _ in found] == [0, 1, 2, 3]
    answers = [one for _, several in found for one in several]
    assert [one.data for one in answers] == [b"0", b"1", b"2", b"", b"4", b"5"]
    assert "SIGKILL" in answers[3].error and "left out" in answers[3].error


# ---- the command


@pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree")
def test_the_command(tmp_path: Path):
    """There and back: the same pixels as one file at a time gives, and what travels along."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (3, 8, 8, 3), np.uint8).repeat(6, 1).repeat(6, 2)
    files: dict[str, bytes] = {"x/c.npy": npy(np.arange(60, dtype=np.float32)), "x/c.txt": b"c"}
    weights = save({"w": rng.normal(size=(8, 9)).astype(np.float32)}, {"by": "us"})
    files |= {"x/w.safetensors": weights, "x/w.class": b"7"}
    for name, picture in zip(("a.png", "x/b.png", "d.jpg"), pixels, strict=True):
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "PNG" if "png" in name else "JPEG")
        files |= {name: data.getvalue(), f"{name[:-4]}.json": b"{}"}
    files["broken.png"] = b"\x89PNG and no more"
    for name, data in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    there, back = tmp_path / "there", tmp_path / "back"
    given = ["bulk", str(tmp_path / "in"), str(there), "-q", "30", "-j", "1", "--json", "--measure"]
    ran = CliRunner().invoke(cli, given)
    assert ran.exit_code == 1 and "broken.png: not a picture" in ran.stderr
    told = json.loads(ran.stdout)
    assert (told["inputs"], told["outputs"], told["failed"]) == (6, 5, 1)
    coded = unpacked(there)
    assert set(coded) == {"a.bin", "a.json", "d.bin", "d.json"} | {
        f"x/{name}" for name in ("b.bin", "b.json", "c.bin", "c.txt", "w.bin", "w.class")
    }
    for row in manifest.rows(str(there)):
        assert "error" in row or hashlib.sha256(coded[row["output"]]).hexdigest() == row["sha256"]
        assert (
            row["input"].endswith((".npy", ".safetensors", "broken.png"))
            or (row["psnr"] or 99) > 10
        )
    notes = [row["notes"][0] for row in manifest.rows(str(there)) if "notes" in row]
    assert "without -q, --measure, which arrays do not take" in notes

    ran = CliRunner().invoke(cli, ["bulk", "decode", str(there), str(back), "-j", "1"])
    assert ran.exit_code == 0, ran.stderr
    decoded = unpacked(back)
    assert load(decoded["x/w.safetensors"])["w"].shape == (8, 9) and decoded["x/w.class"] == b"7"
    assert decoded["x/c.txt"] == b"c" and np.load(io.BytesIO(decoded["x/c.npy"])).shape == (60,)
    for name in ("a", "x/b", "d"):
        with Image.open(io.BytesIO(decoded[f"{name}.png"])) as image:
            assert np.array_equal(np.asarray(image), np.asarray(decode(coded[f"{name}.bin"])))

    checked = ["bulk", "verify", str(tmp_path / "in" / "x"), str(tmp_path / "report"), "-j", "1"]
    ran = CliRunner().invoke(cli, checked)
    assert ran.exit_code == 0 and "2 of 2 inputs" in ran.stderr, ran.stderr

    again = CliRunner().invoke(cli, [*given[:-2], "-q", "31"])
    assert again.exit_code == 2 and "was begun with other options" in again.stderr


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["bulk", "nowhere", "out"], "no such file"),
        (["bulk", "s3", "x://y"], "needs a package"),
        (["bulk", ".", "out", "--cores", "2"], "are for Ray"),
        (["bulk", ".", "out", "--only", "xyz"], "nothing is known of .xyz"),
        (["bulk", "out"], "name both"),
        (["bulk", ".", "out", "--on", "127.0.0.1:1"], "Ray"),
    ],
)
def test_wrong_commands(
    given: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(cli, given)
    assert ran.exit_code == 2 and said in ran.stderr and ran.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []

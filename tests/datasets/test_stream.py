"""Training from shards: each sample once for all ranks and workers, in the same order again."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from lictor.codec import encode
from lictor.codec.errors import CodecError
from lictor.datasets.stream import Decoder, Stream

COUNT = 23


def pixels(number: int) -> np.ndarray:
    return np.full((20 + number, 33, 3), number, np.uint8)


def shard(path: Path, files: dict[str, bytes]) -> str:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    """Four, of unlike length, with a label beside each picture."""
    found: list[dict[str, bytes]] = [{} for _ in range(4)]
    for number in range(COUNT):
        files = found[min(number // 4, 3)]
        files[f"sub/{number:03}.bin"] = encode(pixels(number), quality="lossless")
        files[f"sub/{number:03}.cls"] = str(number).encode()
    return [shard(tmp_path / f"{n}.tar", files) for n, files in enumerate(found)]


def numbers(data: object) -> list[int]:
    return [int(sample["cls"]) for sample in data]


def test_samples_have_their_files(shards: list[str]):
    for number, sample in enumerate(Stream(shards)):
        assert sample["__key__"] == f"sub/{number:03}"
        assert sample["cls"] == str(number).encode()
        assert np.array_equal(sample["picture"], pixels(number))
    assert number == COUNT - 1
    assert numbers(Stream(str(Path(shards[0]).parent / "{0..1}.tar"))) == list(range(8))
    with pytest.raises(ValueError, match="no shards"):
        Stream([])


@pytest.mark.parametrize("ranks", [1, 2, 4, 5])
@pytest.mark.parametrize("shuffle", [0, 5])
def test_ranks_take_each_sample_once(shards: list[str], ranks: int, shuffle: int):
    found = [
        number
        for rank in range(ranks)
        for number in numbers(Stream(shards, shuffle=shuffle, share=(rank, ranks)))
    ]
    assert sorted(found) == list(range(COUNT))


def test_workers_share_what_a_rank_has(shards: list[str]):
    parts = [
        numbers(DataLoader(Stream(shards, share=(rank, 2)), batch_size=None, num_workers=2))
        for rank in range(2)
    ]
    assert sorted(parts[0] + parts[1]) == list(range(COUNT))
    assert all(parts)


def test_ranks_of_torchrun(shards: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert Stream(shards).share == (1, 2)


def test_order_follows_from_seed_and_epoch(shards: list[str]):
    data = Stream(shards, shuffle=8, seed=3)
    first, second = numbers(data), numbers(data)
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert first != list(range(COUNT))
    again = Stream(shards, shuffle=8, seed=3)
    assert [numbers(again), numbers(again)] == [first, second]
    assert numbers(Stream(shards, shuffle=8, seed=4)) != first


@pytest.mark.parametrize("after", [0, 1, 11, COUNT])
def test_it_goes_on_where_it_was(shards: list[str], after: int, monkeypatch: pytest.MonkeyPatch):
    whole = Stream(shards, shuffle=8)
    wanted = [numbers(whole), numbers(whole)]
    data = Stream(shards, shuffle=8)
    walk = iter(data)
    taken = [int(next(walk)["cls"]) for _ in range(after)]
    state = data.state_dict()
    assert state == {"epoch": 0, "taken": after}
    resumed = Stream(shards, shuffle=8)
    resumed.load_state_dict(state)
    decoded: list[bytes] = []
    own = Decoder.pixels
    monkeypatch.setattr(Decoder, "pixels", lambda self, d: decoded.append(d) or own(self, d))
    assert taken + numbers(resumed) == wanted[0]
    assert len(decoded) == COUNT - after  # what was taken is not decoded
    assert numbers(resumed) == wanted[1]


def test_reduced_and_regions(shards: list[str]):
    for number, sample in enumerate(Stream(shards, reduce=4)):
        assert sample["picture"].shape == (-(-(20 + number) // 4), 9, 3)
    for sample in Stream(shards, region=lambda width, height: (width - 8, height - 8, 8, 8)):
        assert sample["picture"].shape == (8, 8, 3)


def test_damaged_pictures_are_named_and_left_out(
    shards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    whole = encode(pixels(1), quality="lossless")
    files = {"a.bin": whole, "b.bin": whole[:-4], "c.bin": b"none", "d.lictor": whole, "e.txt": b""}
    path = shard(tmp_path / "x.tar", files)
    assert [sample["__key__"] for sample in Stream([path])] == ["a", "d"]
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in told] == ["b.bin", "c.bin"]


def test_cut_shards_are_errors(shards: list[str]):
    path = Path(shards[0])
    path.write_bytes(path.read_bytes()[:-11000])
    with pytest.raises(CodecError, match=r"cannot be read on|is damaged, or cut"):
        list(Stream([path]))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it closes no tar
def test_webdataset_decodes_by_it(shards: list[str]):
    webdataset = pytest.importorskip("webdataset")
    data = webdataset.WebDataset(shards[:1], shardshuffle=False).decode(Decoder(reduce=2))
    found = list(data)
    shapes = [(10 + (number + 1) // 2, 17, 3) for number in range(4)]
    assert [sample["bin"].shape for sample in found] == shapes

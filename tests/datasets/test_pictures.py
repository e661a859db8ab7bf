"""Finding pictures in folders and shards, and reading them."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lictor.datasets.pictures import Source, files, load, sources

GIGABYTE = 1e9


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    from skimage import data

    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(data.astronaut()).save(folder / "astronaut.png")
    (folder / "deeper").mkdir()
    Image.fromarray(data.coffee()).save(folder / "deeper" / "coffee.JPG", quality=95)
    Image.fromarray(data.chelsea()).save(folder / "deeper" / "cat.webp", lossless=True)
    return folder


def arrays(*given: Source, at_least: int = 64, memory: float = GIGABYTE) -> list[np.ndarray]:
    return [picture.array() for picture in load(given, at_least, memory)]


def same(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_text_of_sources(tmp_path):
    assert sources("a/b.tar") == [Source(Path("a/b.tar"), (1.0, 1.0))]
    assert sources("photos:0.6:0.9, more") == [
        Source(Path("photos"), (0.6, 0.9)),
        Source(Path("more")),
    ]
    assert [s.path.name for s in sources("shard-{008..011}.tar")] == [
        f"shard-{i:03}.tar" for i in range(8, 12)
    ]
    for name in ("b.tar", "a.tar"):
        (tmp_path / name).touch()
    assert [s.path.name for s in sources(f"{tmp_path}/*.tar")] == ["a.tar", "b.tar"]
    with pytest.raises(ValueError, match="LOW:HIGH"):
        sources("photos:0.9:0.6")
    with pytest.raises(FileNotFoundError, match="no such file"):
        sources(f"{tmp_path}/*.zip")


def test_a_folder_is_searched_through_all_levels(photos):
    assert [p.shape for p in arrays(Source(photos))] == [
        (512, 512, 3),
        (300, 451, 3),
        (400, 600, 3),
    ]


def test_a_tar_holds_what_its_folder_held(photos, tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        tar.add(photos, "photos")
    wanted = arrays(Source(photos))
    assert same(arrays(Source(tmp_path / "shard.tar")), wanted)
    assert same(arrays(Source(tmp_path)), wanted)  # shards in a folder


def test_shards_that_webdataset_wrote(photos, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    pattern = str(tmp_path / "shard-%03d.tar")
    found = list(files(photos))
    with webdataset.ShardWriter(pattern, maxcount=1, verbose=0) as shards:
        for i, file in enumerate(found):
            kind = file.path.suffix[1:].lower()
            shards.write({"__key__": f"{i:06}", kind: file.read(), "json": {"number": i}})
    written = sources(f"{tmp_path}/shard-{{000..002}}.tar")
    assert same(arrays(*written), arrays(Source(photos)))


def test_what_cannot_be_used_is_named_and_skipped(photos, tmp_path, capsys):
    (tmp_path / "foreign.png").write_bytes(b"not a picture")
    whole = (photos / "astronaut.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    Image.fromarray(np.zeros((99, 99), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "good.png").write_bytes(whole)
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture, no word about it")
    assert len(arrays(Source(tmp_path))) == 1
    said = sorted(capsys.readouterr().err.splitlines())
    assert len(said) == 4
    assert "deep.png: skipped, more than 8 bits a sample" in said[0]
    assert "foreign.png: skipped, cannot be read (no known format)" in said[1]
    assert "small.png: skipped, smaller than a crop of 64" in said[2]
    assert "truncated.png: skipped, cannot be read (" in said[3]


def test_pictures_are_seen_as_exif_says(photos, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(photos / "deeper" / "coffee.JPG")
    image.save(tmp_path / "turned.png", exif=exif)
    (picture,) = load([Source(tmp_path)], 64, 0)
    assert (picture.height, picture.width) == (600, 400)
    assert picture.pixels is None
    assert np.array_equal(picture.array(), np.rot90(np.asarray(image), -1))


def test_pictures_beyond_the_memory_are_the_same(photos, capsys):
    some = load([Source(photos)], 64, 3 * 512 * 512 + 1)
    assert 0 < sum(p.pixels is not None for p in some) < 3
    assert "do not fit in memory" in capsys.readouterr().err
    assert same([p.array() for p in some], arrays(Source(photos)))


def test_nothing_to_train_on_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture that can be used"):
        load([Source(tmp_path)], 64, GIGABYTE)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        load([Source(tmp_path / "missing")], 64, GIGABYTE)
    (tmp_path / "x.tar").write_bytes(b"no tar at all")
    with pytest.raises(ValueError, match="not an uncompressed tar"):
        load([Source(tmp_path / "x.tar")], 64, GIGABYTE)


def test_lictor_files_are_pictures_too(tmp_path):
    from lictor.codec import encode, encode_features

    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    (tmp_path / "a.bin").write_bytes(encode(pixels, quality="lossless"))
    (tmp_path / "b.lictor").write_bytes(encode(pixels[:33], quality="lossless"))
    (tmp_path / "c.bin").write_bytes(encode_features(np.zeros(4, np.float32)))
    found = load(sources(str(tmp_path)), 0, 1e9)
    assert [(p.height, p.width) for p in found] == [(40, 50), (33, 50)]
    assert np.array_equal(found[0].array(), pixels)

"""Reduced decoding: near the mean of the whole, for all that a file can hold."""

from __future__ import annotations

import hashlib
import importlib
import io
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import save_file

from lictor.codec import Store, decode, decode_features, decode_picture, encode, encode_features
from lictor.codec.cli.main import cli
from lictor.codec.errors import CodecError, InvalidOption, InvalidRegion, ModelUnavailable
from lictor.codec.picture import reduced, tiles
from lictor.codec.picture.arguments import REDUCTIONS, reduction_for
from lictor.models import preview as previews
from lictor.models import weights, zoo
from lictor.models.light import picture as light

if "lictor-s.mse" not in zoo.index():
    pytest.skip("the shipped weights are not in the tree", allow_module_level=True)

SMALLER = REDUCTIONS[1:]
NEAR = {2: 30, 4: 32, 8: 35, 16: 38}
"""Least PSNR of previews of photos against the mean of the whole decode, at quality 40, in dB."""


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides the shipped models."""


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    most = np.iinfo(a.dtype).max
    error = np.square(a.astype(float) / most - b.astype(float) / most).mean()
    return float(-10 * np.log10(max(error, 1e-12)))


def averaged(pixels: np.ndarray, by: int) -> np.ndarray:
    """By another way than the decoder."""

    def sums(values: np.ndarray) -> np.ndarray:
        rows, columns = (np.arange(0, side, by) for side in values.shape[:2])
        return np.add.reduceat(np.add.reduceat(values.astype(float), rows, 0), columns, 1)

    channels = pixels.shape[2]
    made = sums(pixels) / sums(np.ones((*pixels.shape[:2], 1)))
    if channels in (2, 4):
        alpha = pixels[:, :, -1:].astype(float)
        seen = sums(alpha)
        colours = sums(pixels[:, :, :-1] * alpha) / np.maximum(seen, 1e-9)
        made[:, :, :-1] = np.where(seen > 0, colours, made[:, :, :-1])
    return np.rint(made).astype(pixels.dtype)


@pytest.fixture
def no_synthesis(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of the synthesis, in either runtime."""
    from lictor.models.picture import lictor as heavy

    calls: list[str] = []
    for module in (light, heavy):
        whole = module.Lictor.reconstruct

        def counted(*args: object, whole=whole, **options: object) -> object:
            calls.append(whole.__module__)
            return whole(*args, **options)

        monkeypatch.setattr(module.Lictor, "reconstruct", counted)
    return calls


# ---- what it is near to


@pytest.mark.parametrize("model", ["lictor-s.mse", "lictor-m.mse", "lictor-s.task", "lictor-s.vis"])
def test_previews_of_photos_are_near(china: np.ndarray, model: str, no_synthesis: list[str]):
    data = encode(china, quality=40, model=model, method="network")
    whole = decode_picture(data).pixels
    no_synthesis.clear()
    for by in SMALLER:
        found = decode_picture(data, reduce=by).pixels
        assert found.shape == (-(-427 // by), 640 // by, 3)
        assert psnr(found, averaged(whole, by)) > NEAR[by], by
    assert not no_synthesis
    assert not (decode_picture(data, reduce=1).pixels != whole).any()


@pytest.mark.parametrize("quality", [0, 100])
def test_at_all_qualities(china: np.ndarray, quality: int):
    data = encode(china[:192, :256], quality=quality, method="network")
    whole = decode_picture(data).pixels
    for by in SMALLER:
        assert psnr(decode_picture(data, reduce=by).pixels, averaged(whole, by)) > NEAR[by] - 6


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (77, 1), (63, 65), (17, 33)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_size_of_any_kind(shape: tuple[int, int], channels: int, dtype: type):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    smooth = np.stack([90 + rows + columns // 2, 200 - rows - columns, 128 + rows - columns], 2)
    alpha = np.clip(60 * rows + 9 * columns - 30, 0, 255)[:, :, None]
    pixels = smooth.clip(0, 255)[:, :, : 1 if channels < 3 else 3]
    if channels in (2, 4):
        pixels = np.concatenate([pixels, alpha], 2)
    pixels = pixels.astype(dtype) * (257 if dtype is np.uint16 else 1)
    for method in ("network", "linear", "lossless"):
        data = encode(pixels, method=method, **({} if method == "lossless" else {"quality": 60}))
        whole = decode_picture(data).pixels
        for by in SMALLER:
            found = decode_picture(data, reduce=by).pixels
            assert found.dtype == dtype
            wanted = averaged(whole, by)
            assert found.shape == wanted.shape
            if method == "network":
                assert psnr(found[:, :, : pixels.shape[2]], wanted) > 24
                continue
            # Halves may fall to the other side: colours by alpha are means of products.
            assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 1


def test_gray_and_sixteen_bits_have_previews_too(camera: np.ndarray, no_synthesis: list[str]):
    for pixels in (camera[:, :, None], camera.astype(np.uint16)[:, :, None] * 257):
        data = encode(pixels, quality=80, method="network")
        whole = decode_picture(data).pixels
        no_synthesis.clear()
        for by in SMALLER:
            found = decode_picture(data, reduce=by).pixels
            assert psnr(found, averaged(whole, by)) > NEAR[by], by
        assert not no_synthesis


def test_blocks_of_several_methods(china: np.ndarray):
    picture = china[:256, :384].copy()
    picture[64:128, 128:256] = np.random.default_rng(0).integers(0, 256, (64, 128, 3))
    picture[128:, :128] = 255
    picture[140:200:5, 10:90] = 0
    data = encode(picture, quality=50)
    whole = decode_picture(data).pixels
    for by in SMALLER:
        found, wanted = decode_picture(data, reduce=by).pixels, averaged(whole, by)
        assert psnr(found, wanted) > NEAR[by]
        size = 64 // by
        noise = slice(size, 2 * size), slice(2 * size, 4 * size)
        assert not (found[noise] != wanted[noise]).any()


def test_maps_of_quality(china: np.ndarray, no_synthesis: list[str]):
    data = encode(china, quality=70, roi=[(0, 0, 200, 200)], roi_drop=50, method="network")
    whole = decode_picture(data).pixels
    no_synthesis.clear()
    for by in SMALLER:
        assert psnr(decode_picture(data, reduce=by).pixels, averaged(whole, by)) > NEAR[by] - 1
    assert not no_synthesis


def test_overfitted_pictures_are_averaged(china: np.ndarray):
    data = encode(china[:70, :100], model="overfit-s", effort=1, quality=20)
    whole = decode_picture(data).pixels
    for by in SMALLER:
        assert not (decode_picture(data, reduce=by).pixels != averaged(whole, by)).any()


def test_metadata_come_along(china: np.ndarray):
    exif = Image.Exif()
    exif[0x010E] = "what is seen"
    image = Image.fromarray(china[:64, :64])
    image.info["exif"] = exif.tobytes()
    image.info["icc_profile"] = b"\0" * 128
    data = encode(image, quality=30)
    for key in ("exif", "icc_profile"):
        assert decode(data, reduce=8).info[key] == decode(data).info[key]


# ---- tiles and regions


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "SIDE", 128)


@pytest.mark.parametrize("method", ["network", "linear", "lossless", "auto"])
def test_tiles_and_regions(china: np.ndarray, small_tiles: None, method: str):
    options = {} if method == "lossless" else {"quality": 40}
    data = encode(china, method=method, **options)
    whole = decode_picture(data).pixels
    calls: list[tuple[int, int]] = []
    for by in SMALLER:
        found = decode_picture(data, reduce=by, progress=lambda *n: calls.append(n)).pixels
        wanted = averaged(whole, by)
        if method in ("linear", "lossless"):
            assert not (found != wanted).any()
        assert psnr(found, wanted) > NEAR[by]
        # Of whole squares, a region is what all has there.
        x, y, width, height = 48, 112, 16 * 9, 16 * 7
        part = decode_picture(data, reduce=by, region=(x, y, width, height)).pixels
        place = slice(y // by, (y + height) // by), slice(x // by, (x + width) // by)
        assert not (part != found[place]).any()
        odd = decode_picture(data, reduce=by, region=(x, y, 77, 35)).pixels
        assert odd.shape == (-(-35 // by), -(-77 // by), 3)
        assert psnr(odd, averaged(whole[y : y + 35, x : x + 77], by)) > NEAR[by] - 6
    assert calls and calls[-1][0] == calls[-1][1] > 1


def test_salvaged_files_are_averaged(china: np.ndarray, small_tiles: None):
    data = bytearray(encode(china, quality=40, method="network"))
    data[len(data) // 2] ^= 1
    with pytest.raises(CodecError):
        decode_picture(bytes(data), reduce=4)
    whole = decode_picture(bytes(data), salvage=True)
    found = decode_picture(bytes(data), salvage=True, reduce=4)
    assert found.lost == whole.lost != ()
    assert not (found.pixels != averaged(whole.pixels, 4)).any()


def test_runtimes_agree_and_threads_change_nothing(china: np.ndarray, small_tiles: None):
    data = encode(china, quality=40)
    for by in SMALLER:
        found = [
            decode_picture(data, reduce=by, runtime=name).pixels for name in ("light", "torch")
        ]
        assert np.abs(found[0].astype(int) - found[1]).max() <= 1


# ---- the file of a preview


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with weights of one's own: those of lictor-s.task under another name and hash."""
    metadata = {"format": weights.FORMAT, "name": "lictor-s.own", "training": "{}"}
    shipped = weights.read("lictor-s.task").arrays()
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in shipped.items()}
    save_file(tensors, tmp_path / "lictor-s.own.safetensors", metadata)
    return tmp_path


def preview_for(folder: Path) -> bytes:
    """That of lictor-s.task, made over to the weights of one's own."""
    digest = hashlib.sha256((folder / "lictor-s.own.safetensors").read_bytes()).hexdigest()
    shipped = (zoo.shipped_folder() / "lictor-s.task.preview").read_bytes()
    return shipped.replace(zoo.index()["lictor-s.task"].sha256.encode(), digest.encode())


def test_weights_without_a_preview_decode_the_whole(
    china: np.ndarray, own: Path, no_synthesis: list[str]
):
    store = Store((own,))
    data = encode(china[:90, :120], model="lictor-s.own", method="network", models=store)
    wanted = averaged(decode_picture(data, models=store).pixels, 8)
    found = decode_picture(data, reduce=8, models=store).pixels
    assert not (found != wanted).any()
    # A preview of other weights is none of theirs.
    path = own / "lictor-s.own.preview"
    shutil.copy(zoo.shipped_folder() / "lictor-s.mse.preview", path)
    assert not (decode_picture(data, reduce=8, models=store).pixels != wanted).any()
    path.write_bytes(preview_for(own))
    no_synthesis.clear()
    assert psnr(decode_picture(data, reduce=8, models=store).pixels, wanted) > NEAR[8]
    assert not no_synthesis


def test_damaged_previews_are_named(china: np.ndarray, own: Path):
    store, intact = Store((own,)), preview_for(own)
    data = encode(china[:40, :40], model="lictor-s.own", method="network", models=store)
    for damaged in (intact[:5], intact[:-9], b"", intact.replace(b"smooth", b"smootj")):
        (own / "lictor-s.own.preview").write_bytes(damaged)
        with pytest.raises(ModelUnavailable, match="preview: is damaged"):
            decode(data, reduce=8, models=store)
    assert decode(data, models=store).size == (40, 40)


@pytest.mark.parametrize("name", ["lictor-s.mse", "lictor-m.mse", "lictor-s.task", "lictor-s.vis"])
def test_shipped_ones_are_small_and_of_their_weights(name: str):
    path = zoo.shipped_folder() / f"{name}.preview"
    assert path.stat().st_size < 300_000
    assert previews.find(name, bytes.fromhex(zoo.index()[name].sha256)) is not None


# ---- who asks for it


@pytest.mark.parametrize("wrong", [0, 3, 32, -2, "8", 2.5])
def test_other_reductions_are_refused(photo: np.ndarray, wrong: object):
    with pytest.raises(InvalidOption, match="give one of 1, 2, 4, 8, 16"):
        decode(encode(photo, method="linear"), reduce=wrong)


def test_regions_begin_at_squares(photo: np.ndarray):
    data = encode(photo, method="linear")
    with pytest.raises(InvalidRegion, match="multiple of 8"):
        decode(data, reduce=8, region=(8, 4, 8, 8))
    assert decode(data, reduce=8, region=(8, 16, 9, 8)).size == (2, 1)


def test_arrays_have_none():
    data = encode_features(np.zeros((3, 4), np.float32))
    with pytest.raises(InvalidOption, match="reduce is for pictures"):
        decode(data, reduce=2)
    assert decode_features(data).shape == (3, 4)


def test_the_command(china: np.ndarray, tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(encode(china, quality=30))
    paths = [str(tmp_path / "a.bin"), str(tmp_path / "a.png")]
    done = CliRunner().invoke(cli, ["decode", *paths, "--reduce", "4"])
    assert done.exit_code == 0, done.output
    with Image.open(paths[1]) as image:
        assert image.size == (160, 107)
    assert CliRunner().invoke(cli, ["decode", *paths, "--reduce", "3"]).exit_code == 2


def test_reductions_for_a_size():
    assert reduction_for((768, 512), (256, 256)) == 2
    assert reduction_for((4000, 3000), (512, 512)) == 4
    assert reduction_for((10, 5000), (64, 64)) == 1
    assert reduction_for((9000, 9000), (0, 1)) == 16


@pytest.fixture
def plugin(pillow_forgets: None) -> ModuleType:
    return importlib.import_module("lictor.pillow")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pillow_drafts(china: np.ndarray, channels: int, plugin, no_synthesis: list[str]):
    alpha = np.full((427, 640, 1), 200, np.uint8)
    pixels = china[:, :, : 1 if channels < 3 else 3]
    pixels = np.concatenate([pixels, alpha], 2) if channels in (2, 4) else pixels
    data = encode(pixels, quality=50, method="network")
    whole = Image.open(io.BytesIO(data))
    whole.load()
    wanted = whole.resize((80, 53), Image.Resampling.BICUBIC, reducing_gap=3)
    no_synthesis.clear()
    image = Image.open(io.BytesIO(data))
    assert image.draft("L", (100, 50)) == (whole.mode, (0, 0, 640 / 4, 427 / 4))
    assert image.draft(None, (10, 10)) is None  # once is enough
    assert image.size == (160, 107)
    image.load()
    assert (image.mode, image.size) == (whole.mode, (160, 107))
    assert image.draft(None, (10, 10)) is None
    small = Image.open(io.BytesIO(data))
    small.thumbnail((80, 80))
    assert (small.mode, small.size) == (whole.mode, (80, 53))
    assert psnr(np.asarray(small), np.asarray(wanted)) > 33
    assert not no_synthesis
    large = Image.open(io.BytesIO(data))
    assert large.draft(None, (500, 400)) == (whole.mode, (0, 0, 640, 427))
    assert large.size == (640, 427)
    assert np.array_equal(np.asarray(large), np.asarray(whole))


def test_the_thumbnailer_takes_previews(china: np.ndarray, tmp_path: Path, no_synthesis: list[str]):
    (tmp_path / "a.bin").write_bytes(encode(china, quality=50, method="network"))
    no_synthesis.clear()
    paths = [str(tmp_path / "a.bin"), str(tmp_path / "a.png")]
    done = CliRunner().invoke(cli, ["thumbnail", "--size", "64", *paths])
    assert done.exit_code == 0, done.output
    assert not no_synthesis
    with Image.open(paths[1]) as image:
        assert image.size == (64, 43)
        wanted = Image.fromarray(china).resize((64, 43), Image.Resampling.BICUBIC)
        assert psnr(np.asarray(image), np.asarray(wanted)) > 30


def test_means_are_exact_in_bands(monkeypatch: pytest.MonkeyPatch):
    pixels = np.random.default_rng(0).integers(0, 2**16, (45, 39, 3), np.uint16)
    monkeypatch.setattr(reduced, "_BAND", 1000)
    for by in SMALLER:
        assert not (reduced.of(pixels, by) != averaged(pixels, by)).any()

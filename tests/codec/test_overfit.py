"""Pictures coded by networks of their own: trained, written, read, damaged."""

from __future__ import annotations

import signal
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from lictor.codec import CodecError, decode_picture, encode, info, latents, verify
from lictor.codec.cli.file_jobs import _kept
from lictor.codec.distortion import psnr
from lictor.codec.errors import (
    CorruptFile,
    InvalidMethod,
    InvalidOption,
    InvalidRoi,
    LatentMismatch,
    NoLatents,
)
from lictor.codec.format import overlay as form
from lictor.codec.format import picture as bitstream
from lictor.codec.format.picture import NETWORKS, OVERFIT
from lictor.codec.image.pillow import Picture
from lictor.codec.kinds.pictures import Pictures
from lictor.codec.picture import overfit
from lictor.models.overfit import coder, parameters, sizes

pytestmark = pytest.mark.skipif(not coder.available(), reason="the C extension was not built")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overfit, "ITERATIONS", (150, 40) * 5)


def photo(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    """Something smooth with edges and a little noise."""
    y, x, c = np.indices((height, width, channels))
    wave = np.sin(x / 9 + c) * np.cos(y / 7) + ((x // 20 + y // 30) % 2) * 0.4
    noise = np.random.default_rng(3).normal(0, 0.02, wave.shape)
    top = np.iinfo(dtype).max
    return np.clip((0.45 + 0.25 * wave + noise) * top, 0, top).astype(dtype)


def with_threads(count: int, work: Callable[[], np.ndarray]) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(count))
        return work()


@pytest.fixture(scope="module")
def wide() -> bytes:
    """A file of two tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overfit, "ITERATIONS", (150,) * 10)
        return encode(photo(70, 600), model="overfit-s", quality=30)


def test_names_of_models():
    assert sizes.named("overfit") is sizes.named("overfit-m") is sizes.SIZES["m"]
    assert sizes.named("overfit-l") is sizes.SIZES["l"]
    for name in ("overfit-", "overfit-x", "overfitted", "lictor-s.mse", "overfit-m.safetensors"):
        assert name == "overfit-" or sizes.named(name) is None


@pytest.mark.parametrize("model", ["overfit-s", "overfit", "overfit-l"])
def test_a_picture_comes_back(model: str):
    pixels = photo(90, 130)
    data = encode(pixels, model=model, quality=40)
    said = info(data)
    assert said.model is None and "overfit" in said.methods and said.quality == 40
    assert sum(said.shares.values()) == pytest.approx(1)
    assert not said.lossless and len(data) < pixels.size / 4
    found = decode_picture(data).pixels
    assert found.shape == pixels.shape and psnr(pixels, found) > 27
    assert f"({said.methods['overfit']} of overfit)" in Pictures().line({**vars(said)})
    assert len(data) - 60 < said.methods["overfit"] < len(data)
    with pytest.raises(NoLatents):
        latents(data)


@pytest.mark.parametrize(
    "shape, channels", [((1, 1), 3), ((1, 70), 4), ((65, 1), 1), ((17, 33), 2)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_all_kinds_of_pictures(shape: tuple[int, int], channels: int, dtype: type):
    pixels = photo(*shape, channels, dtype)
    found = decode_picture(encode(pixels, model="overfit-s", effort=1)).pixels
    assert found.shape == pixels.shape and found.dtype == dtype
    if channels in (2, 4):
        np.testing.assert_array_equal(found[:, :, -1], pixels[:, :, -1])
    colours = 1 if channels < 3 else 3
    assert psnr(pixels[:, :, :colours], found[:, :, :colours]) > 20


@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (3, np.uint16)])
def test_gray_and_sixteen_bits_by_the_networks(channels: int, dtype: type):
    pixels = photo(120, 100, channels, dtype)
    data = encode(pixels, model="overfit-s", quality=30)
    assert "overfit" in info(data).methods
    assert psnr(pixels, decode_picture(data).pixels) > 25


def test_better_quality_takes_more_bytes():
    pixels = photo(80, 80)
    files = [encode(pixels, model="overfit-s", quality=quality) for quality in (10, 70)]
    found = [psnr(pixels, decode_picture(data).pixels) for data in files]
    assert len(files[0]) < len(files[1]) and found[0] < found[1]


def test_every_block_holds():
    """Noise, which networks cannot hold at this rate, goes to another method."""
    pixels = photo(64, 192)
    pixels[:, 64:128] = np.random.default_rng(1).integers(0, 256, (64, 64, 3))
    report = verify(Picture(pixels), quality=20, model="overfit-s", effort=1)
    assert report.ok and report.worst <= 1.25
    assert set(report.shares) > {"overfit"}
    assert report.estimate is None


def test_the_size_is_what_was_expected():
    report = verify(Picture(photo(100, 100)), quality=50, model="overfit-s")
    assert report.ok and report.estimate is not None and report.gap is not None
    assert set(report.shares) == {"overfit"} and 0 < report.gap * report.estimate < 60


def test_threads_and_regions_give_the_same(wide: bytes):
    whole = decode_picture(wide).pixels
    for threads in (1, 2, 3):
        again = with_threads(threads, lambda: decode_picture(wide).pixels)
        np.testing.assert_array_equal(again, whole)
    for x, y, width, height in ((0, 0, 1, 1), (599, 69, 1, 1), (300, 3, 40, 60), (5, 0, 580, 70)):
        part = decode_picture(wide, region=(x, y, width, height)).pixels
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def test_a_region_takes_only_tiles_within_reach(monkeypatch: pytest.MonkeyPatch, wide: bytes):
    read: list[tuple[int, int]] = []
    before = coder.decode

    def decode(networks: bytes, stream: bytes, shape: tuple[int, int]) -> list[np.ndarray]:
        read.append(shape)
        return before(networks, stream, shape)

    monkeypatch.setattr(coder, "decode", decode)
    decode_picture(wide, region=(0, 0, 60, 70))
    assert read == [(70, 320)]
    decode_picture(wide, region=(0, 0, 65, 70))
    assert read[1:] == [(70, 320), (70, 280)]


def sections(data: bytes) -> tuple[bitstream.Header, dict[int, bytes]]:
    header, found = bitstream.read(data)
    return header, {section.kind: bytes(section.payload) for section in found}


def changed(data: bytes, change: Callable[[dict[int, bytes], bitstream.Header], None]) -> bytes:
    """With other sections, and right checksums."""
    header, payloads = sections(data)
    change(payloads, header)
    made = bitstream._chain(payloads)
    return bitstream._write(header, made)


def test_every_byte_matters(wide: bytes):
    """A file that is cut or has a wrong bit is refused, each time by name."""
    for at in range(0, len(wide), 29):
        wrong = wide[:at] + bytes([wide[at] ^ 16]) + wide[at + 1 :]
        for data in (wide[:at], wrong):
            with pytest.raises(CodecError):
                decode_picture(data)


def test_sections_that_do_not_go_together_are_refused(wide: bytes):
    with pytest.raises(CorruptFile, match="networks"):
        decode_picture(changed(wide, lambda p, h: p.pop(NETWORKS) and None))
    with pytest.raises(CorruptFile):
        decode_picture(changed(wide, lambda p, h: p.pop(OVERFIT) and None))

    def cut(payloads: dict[int, bytes], header: bitstream.Header) -> None:
        payloads[NETWORKS] = payloads[NETWORKS][:-1]

    with pytest.raises(CorruptFile, match="networks of the picture are damaged"):
        decode_picture(changed(wide, cut))

    def some(payloads: dict[int, bytes], header: bitstream.Header) -> None:
        overlay = form.parse(header, payloads[OVERFIT])
        overlay.mask ^= 1
        payloads[OVERFIT] = form.write(overlay, header)

    with pytest.raises(CorruptFile):
        decode_picture(changed(wide, some))


def test_another_stream_is_noticed(wide: bytes):
    """One that is no stream, and one that decodes to something else."""

    def wrong(stream: bytes) -> bytes:
        def change(payloads: dict[int, bytes], header: bitstream.Header) -> None:
            overlay = form.parse(header, payloads[OVERFIT])
            first = overlay.table.tiles[0]
            rest = bytes(overlay.streams)[first.size :]
            first.size, first.check = len(stream), zlib.crc32(stream)
            overlay.streams = stream + rest
            payloads[OVERFIT] = form.write(overlay, header)

        return changed(wide, change)

    with pytest.raises(CorruptFile, match="damaged"):
        decode_picture(wrong(bytes(40)))
    networks = parameters.read(sections(wide)[1][NETWORKS]).whole()
    empty = [np.zeros(sides, np.int8) for sides in sizes.grid_shapes(70, 320)]
    with pytest.raises(LatentMismatch):
        decode_picture(wrong(coder.encode(networks, empty, (70, 320))))


def test_a_damaged_tile_is_painted_over(wide: bytes):
    whole = decode_picture(wide).pixels
    _, payloads = sections(wide)
    at = wide.index(payloads[OVERFIT]) + len(payloads[OVERFIT]) - 3
    wrong = wide[:at] + bytes([wide[at] ^ 1]) + wide[at + 1 :]
    with pytest.raises(CorruptFile):
        decode_picture(wrong)
    found = decode_picture(wrong, salvage=True)
    assert len(found.lost) == 1 and "painted over" in found.lost[0]
    np.testing.assert_array_equal(found.pixels[:, :60], whole[:, :60])


def test_what_does_not_go_with_it_is_refused():
    pixels = photo(20, 20)
    with pytest.raises(InvalidMethod, match="leave the method out"):
        encode(pixels, model="overfit", method="network")
    with pytest.raises(InvalidRoi):
        encode(pixels, model="overfit", roi=[(0, 0, 5, 5)])
    with pytest.raises(InvalidOption):
        encode(pixels, model="overfit", tune="eyes")
    assert info(encode(pixels, model="overfit", quality="lossless")).lossless


def test_a_training_that_is_stopped_is_coded():
    pixels, asked = photo(40, 40), []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 8

    data = encode(pixels, model="overfit-s", quality=30, stop=stop)
    assert len(asked) == 9 and decode_picture(data).pixels.shape == pixels.shape


def test_ctrl_c_is_kept_once():
    before = signal.getsignal(signal.SIGINT)
    with _kept(True) as options:
        assert not options["stop"]()
        signal.raise_signal(signal.SIGINT)
        assert options["stop"]()
        assert signal.getsignal(signal.SIGINT) is before
    with _kept(False) as options:
        assert not options


def test_progress_says_how_things_stand():
    class Heard:
        def __init__(self) -> None:
            self.steps: list[tuple[int, int]] = []
            self.said: list[str] = []

        def __call__(self, done: int, count: int) -> None:
            self.steps.append((done, count))

        def say(self, text: str) -> None:
            self.said.append(text)

    heard = Heard()
    encode(photo(40, 40), model="overfit-s", quality=30, progress=heard)
    assert heard.steps[-1] == (150, 150) and len(heard.said) == len(heard.steps)
    assert all("bpp" in text and "dB" in text for text in heard.said)
    plain: list[tuple[int, int]] = []
    encode(
        photo(40, 40), model="overfit-s", progress=lambda done, count: plain.append((done, count))
    )
    assert plain == heard.steps

"""VVC, through programs found on PATH: vvencapp and vvdecapp, or VTM's EncoderApp and DecoderApp.

They take and give raw YCbCr of 10 bits, BT.709, full range. What is measured is the bare stream of
VVC, without a container, and the time of the program and of its files, conversion included.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lictor.codec.bench import memory
from lictor.codec.bench.contender import Codec, Missing, Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RED, _BLUE = 0.2126, 0.0722
"""Luma of BT.709."""
_QP = Scale("QP, 63 (small) to 0", 0, 63, whole=True)
_MOST = 1023.0


def vvenc(preset: str, threads: int) -> Codec:
    """Fraunhofer's encoder, 4:2:0, for PSNR (--qpa 0)."""
    encoder, decoder = _found("vvencapp"), _found("vvdecapp")

    def code(raw: Path, out: Path, width: int, height: int, quality: int) -> None:
        _run(
            encoder, "-i", raw, "-s", f"{width}x{height}", "-c", "yuv420_10", "-r", "1", "-f", "1",
            "--preset", preset, "--qpa", "0", "-q", quality, "--threads", threads, "-o", out,
        )  # fmt: skip

    return _by_files(
        code,
        lambda coded, raw: _run(decoder, "-b", coded, "-o", raw, "-t", threads),
        subsampled=True,
        name=f"vvenc-{preset}-420",
        label=f"VVC 4:2:0, vvenc {preset}",
        version=_first_line(encoder, "--version"),
        qualities=(47, 42, 37, 34, 30, 26, 22),
        settings={"preset": preset, "qpa": 0, "threads": threads},
    )


def vtm(chroma: str, threads: int) -> Codec:
    """The reference software, all intra; its configuration is looked for beside the program.

    VTM_CFG names another encoder_intra_vtm.cfg.
    """
    encoder, decoder = _found("EncoderApp"), _found("DecoderApp")
    config = _vtm_config(encoder)

    def code(raw: Path, out: Path, width: int, height: int, quality: int) -> None:
        _run(
            encoder, "-c", config, "-i", raw, "-b", out, "-o", os.devnull, "-wdt", width,
            "-hgt", height, "-fr", "1", "-f", "1", "-q", quality,
            "--InputBitDepth=10", "--OutputBitDepth=10", "--InternalBitDepth=10",
            f"--InputChromaFormat={chroma}", f"--ChromaFormatIDC={chroma}",
            "--ConformanceWindowMode=1",
        )  # fmt: skip

    return _by_files(
        code,
        lambda coded, raw: _run(decoder, "-b", coded, "-o", raw, "-d", "10"),
        subsampled=chroma == "420",
        name=f"vtm-{chroma}",
        label=f"VVC {chroma[0]}:{chroma[1]}:{chroma[2]}, VTM",
        version=_first_line(encoder, "--help"),
        qualities=(47, 42, 37, 32, 27, 22),
        settings={"config": config.name},
    )


def _by_files(
    code: Callable[[Path, Path, int, int, int], None],
    restore: Callable[[Path, Path], None],
    subsampled: bool,
    **about: Any,
) -> Codec:
    """A codec of programs that read and write files.

    code: from raw samples to a stream, given width, height and QP. restore: and back.
    """

    def encode(pixels: NDArray[Any], quality: float) -> bytes:
        with TemporaryDirectory() as folder:
            raw, out = Path(folder, "in.yuv"), Path(folder, "out.266")
            height, width = _write_raw(raw, pixels, subsampled)
            code(raw, out, width, height, int(quality))
            return _with_size(out.read_bytes(), pixels)

    def decode(data: bytes) -> NDArray[Any]:
        size, stream = _size_of(data)
        with TemporaryDirectory() as folder:
            coded, raw = Path(folder, "in.266"), Path(folder, "out.yuv")
            coded.write_bytes(stream)
            restore(coded, raw)
            return _read_raw(raw, size, subsampled)

    return Codec(suffix=".266", scale=_QP, encode=encode, decode=decode, **about)


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise Missing(f"{program} is not on PATH; build it and put it there")
    return path


def _vtm_config(encoder: str) -> Path:
    name = "encoder_intra_vtm.cfg"
    near = Path(encoder).resolve().parent
    places = [near / name, near.parent / "cfg" / name, near.parent.parent / "cfg" / name]
    if "VTM_CFG" in os.environ:
        places.insert(0, Path(os.environ["VTM_CFG"]))
    for place in places:
        if place.is_file():
            return place
    raise Missing(f"{name} is not beside EncoderApp; set VTM_CFG to it")


def _first_line(program: str, option: str) -> str:
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    return next((line for line in lines if line), Path(program).name)


def _run(*command: object) -> None:
    """Run a program to its end, remembering the memory that it took."""
    text = [str(part) for part in command]
    with TemporaryDirectory() as folder, open(Path(folder, "log"), "w+b") as log:
        process = subprocess.Popen(text, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            status = memory.wait(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if status:
            log.seek(0)
            said = log.read().decode(errors="replace").split("\n")
            last = next(
                (line.strip() for line in reversed(said) if line.strip()), "it said nothing"
            )
            raise RuntimeError(f"{Path(text[0]).name} failed with status {status}: {last}")


# ---- raw files


def _with_size(stream: bytes, pixels: NDArray[Any]) -> bytes:
    """A container of four bytes: raw pictures do not say their size, and other formats do."""
    height, width = pixels.shape[:2]
    return height.to_bytes(2, "little") + width.to_bytes(2, "little") + stream


def _size_of(data: bytes) -> tuple[tuple[int, int], bytes]:
    height, width = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")
    return (height, width), data[4:]


def _write_raw(path: Path, pixels: NDArray[Any], subsampled: bool) -> tuple[int, int]:
    """Write Y, Cb and Cr; returns the height and width written, which are even if subsampled."""
    height, width = pixels.shape[:2]
    grown = (height % 2, width % 2) if subsampled else (0, 0)
    rgb = np.pad(pixels, ((0, grown[0]), (0, grown[1]), (0, 0)), mode="edge") / np.float32(255)
    red, green, blue = rgb.transpose(2, 0, 1) if rgb.shape[2] == 3 else [rgb[:, :, 0]] * 3
    luma = _RED * red + (1 - _RED - _BLUE) * green + _BLUE * blue
    planes = [
        luma,
        (blue - luma) / (2 - 2 * _BLUE) + 0.5,
        (red - luma) / (2 - 2 * _RED) + 0.5,
    ]
    if subsampled:
        planes[1:] = [_halved(plane) for plane in planes[1:]]
    with path.open("wb") as file:
        for plane in planes:
            file.write(np.rint(plane * _MOST).clip(0, _MOST).astype("<u2").tobytes())
    return luma.shape


def _read_raw(path: Path, size: tuple[int, int], subsampled: bool) -> NDArray[Any]:
    height, width = size
    rows, columns = (height + height % 2, width + width % 2) if subsampled else size
    shapes = [(rows, columns)] + [(rows // 2, columns // 2) if subsampled else size] * 2
    samples = np.fromfile(path, "<u2").astype(np.float32) / _MOST
    parts = np.split(samples, np.cumsum([h * w for h, w in shapes])[:2])
    luma, *chroma = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
    cb, cr = (_doubled(plane) - 0.5 if subsampled else plane - 0.5 for plane in chroma)
    red = luma + (2 - 2 * _RED) * cr
    blue = luma + (2 - 2 * _BLUE) * cb
    green = (luma - _RED * red - _BLUE * blue) / (1 - _RED - _BLUE)
    rgb = np.rint(np.dstack([red, green, blue]) * 255).clip(0, 255).astype(np.uint8)
    return rgb[:height, :width]


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    height, width = plane.shape
    means: NDArray[Any] = plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return means


def _doubled(plane: NDArray[Any]) -> NDArray[Any]:
    height, width = plane.shape
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize((2 * width, 2 * height), Image.Resampling.BICUBIC))

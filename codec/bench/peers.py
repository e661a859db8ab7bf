"""JPEG, WebP, JPEG 2000, AVIF, JPEG XL and HEIC, through the libraries that people use for them.

Default qualities spread over 0.1 to 2 bpp on photographs.
"""

from __future__ import annotations

import io
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, features

from lictor.codec.bench.contender import Codec, Missing, Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHROMA = {"420": "4:2:0", "422": "4:2:2", "444": "4:4:4"}


def jpeg(chroma: str, order: str, threads: int) -> Codec:
    """JPEG by libjpeg-turbo, Huffman tables optimised. order: "prog" for progressive, or "opt"."""
    options = {"subsampling": CHROMA[chroma], "optimize": True, "progressive": order == "prog"}
    points = (4, 8, 15, 25, 40, 60, 75, 85, 91) if order == "prog" else _JPEG_OPTIMISED
    return _by_pillow(
        name=f"jpeg-{chroma}-{order}",
        label=f"JPEG {CHROMA[chroma]}, {'progressive' if order == 'prog' else 'baseline'}",
        version=f"libjpeg-turbo {features.version('libjpeg_turbo')}, {_pillow()}",
        format="JPEG",
        suffix=".jpg",
        scale=Scale("1 to 100", 1, 100, whole=True),
        qualities=points,
        options=options,
    )


_JPEG_OPTIMISED = (5, 10, 20, 35, 50, 70, 82, 90)


def webp(method: str, threads: int) -> Codec:
    """WebP by libwebp, lossy, which is always 4:2:0. method: 0 (fast) to 6."""
    _have("webp", "WebP")
    return _by_pillow(
        name=f"webp-m{method}",
        label=f"WebP, method {method}",
        version=f"libwebp {features.version('webp')}, {_pillow()}",
        format="WEBP",
        suffix=".webp",
        scale=Scale("0 to 100", 0, 100),
        qualities=(0, 4, 15, 30, 50, 70, 82, 90),
        options={"method": int(method)},
    )


def avif(speed: str, chroma: str, tune: str | None, threads: int) -> Codec:
    """AVIF by libavif with libaom. tune: psnr, ssim or iq; None for the library's default."""
    _have("avif", "AVIF")
    from PIL import _avif

    if not _avif.encoder_codec_available("aom"):
        raise Missing("this Pillow has no libaom; install Pillow's own wheel")
    options: dict[str, Any] = {
        "codec": "aom",
        "speed": int(speed),
        "subsampling": CHROMA[chroma],
        "max_threads": threads,
    }
    if tune:
        options["advanced"] = {"tune": tune}
    codecs = _avif.codec_versions()
    return _by_pillow(
        name=f"avif-aom-s{speed}-{chroma}" + (f"-{tune}" if tune else ""),
        label=f"AVIF {CHROMA[chroma]}, libaom speed {speed}" + (f", tune={tune}" if tune else ""),
        version=f"libavif {features.version('avif')} ({codecs}), {_pillow()}",
        format="AVIF",
        suffix=".avif",
        scale=Scale("0 to 100", 0, 100, whole=True),
        qualities=(
            (5, 12, 20, 28, 38, 48, 60, 70) if tune == "psnr" else (8, 18, 28, 40, 52, 64, 74, 84)
        ),
        options=options,
    )


def jpeg2000(mode: str, threads: int) -> Codec:
    """OpenJPEG, irreversible wavelet. mode: "rate", quality is bpp; "db", quality is PSNR."""
    _have("jpg_2000", "JPEG 2000")
    rate = mode == "rate"

    def encode(pixels: NDArray[Any], quality: float) -> bytes:
        # Given as a ratio of sizes; without the colour transform it would code R, G and B apart.
        layer = 8 * pixels.shape[2] / quality if rate else quality
        return _save(
            pixels,
            "JPEG2000",
            quality_mode="rates" if rate else "dB",
            quality_layers=[layer],
            irreversible=True,
            mct=int(pixels.shape[2] == 3),
            no_jp2=False,
        )

    return Codec(
        name=f"jpeg2000-{mode}",
        label="JPEG 2000, " + ("a rate for each picture" if rate else "a PSNR for each picture"),
        version=f"OpenJPEG {features.version('jpg_2000')}, {_pillow()}",
        suffix=".jp2",
        scale=Scale("bpp, 0.01 to 16", 0.01, 16) if rate else Scale("dB, 15 to 60", 15, 60),
        qualities=(0.1, 0.15, 0.25, 0.4, 0.6, 0.9, 1.2, 1.6) if rate else (26, 28, 30, 33, 36, 39),
        encode=encode,
        decode=lambda data: _load(data, "JPEG2000"),
        settings={"quality_mode": "rates" if rate else "dB", "irreversible": True, "mct": 1},
    )


def jxl(effort: str, threads: int) -> Codec:
    """JPEG XL by libjxl. effort: 1 (fast) to 9."""
    _plugin("pillow_jxl", "pillow-jxl-plugin")
    return _by_pillow(
        name=f"jxl-e{effort}",
        label=f"JPEG XL, effort {effort}",
        version=f"libjxl of pillow-jxl-plugin {version('pillow-jxl-plugin')}",
        format="JXL",
        suffix=".jxl",
        scale=Scale("0 to 100, as cjxl's -q", 0, 100, whole=True),
        qualities=(0, 8, 20, 40, 58, 70, 80, 88),
        options={"effort": int(effort), "num_threads": threads},
    )


def heic(chroma: str, tune: str | None, threads: int) -> Codec:
    """HEVC: libheif with x265. tune: psnr or ssim; None for libheif's default."""
    heif = _plugin("pillow_heif", "pillow-heif")
    about = heif.libheif_info()
    if not about.get("encoders", {}).get("x265"):
        raise Missing("this pillow-heif has no x265; install its own wheel")
    tuned = {"tune": tune} if tune else {}

    def encode(pixels: NDArray[Any], quality: float) -> bytes:
        file = io.BytesIO()
        image = heif.from_pillow(_image(pixels))
        image.save(file, quality=int(quality), chroma=int(chroma), enc_params=tuned)
        return file.getvalue()

    def decode(data: bytes) -> NDArray[Any]:
        return _array(heif.open_heif(io.BytesIO(data)).to_pillow())

    return Codec(
        name=f"heic-x265-{chroma}" + (f"-{tune}" if tune else ""),
        label=f"HEIC {CHROMA[chroma]}, x265" + (f", tune={tune}" if tune else ""),
        version=f"libheif {about['libheif']}, {about['encoders']['x265']}",
        suffix=".heic",
        scale=Scale("0 to 100", 0, 100, whole=True),
        qualities=(6, 14, 22, 30, 38, 48),
        encode=encode,
        decode=decode,
        settings={"chroma": CHROMA[chroma], **tuned},
    )


def _by_pillow(format: str, options: dict[str, Any], **about: Any) -> Codec:
    """A codec whose quality is Pillow's `quality`."""
    whole = about["scale"].whole

    def encode(pixels: NDArray[Any], quality: float) -> bytes:
        return _save(pixels, format, quality=int(quality) if whole else quality, **options)

    return Codec(
        **about, encode=encode, decode=lambda data: _load(data, format), settings=dict(options)
    )


def _save(pixels: NDArray[Any], format: str, **options: Any) -> bytes:
    if format == "AVIF" and pixels.shape[2] == 1:
        options.pop("subsampling", None)  # there is no colour to subsample
    file = io.BytesIO()
    _image(pixels).save(file, format, **options)
    return file.getvalue()


def _load(data: bytes, format: str) -> NDArray[Any]:
    with Image.open(io.BytesIO(data), formats=[format]) as image:
        return _array(image)


def _image(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _array(image: Image.Image) -> NDArray[Any]:
    pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _have(feature: str, what: str) -> None:
    if not features.check(feature):
        raise Missing(f"this Pillow has no {what}; install Pillow's own wheel")


def _plugin(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as e:
        raise Missing(f"needs {package}; pip install {package}") from e


def _pillow() -> str:
    return f"Pillow {version('pillow')}"

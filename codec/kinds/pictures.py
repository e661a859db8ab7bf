"""Pictures as a kind of payload: files that Pillow and tifffile read, and .bin files of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

from lictor.codec.errors import DeviceUnavailable, InvalidMethod, InvalidQuality, ModelUnavailable
from lictor.codec.format import picture as bitstream
from lictor.codec.format.elements import Bytes
from lictor.codec.kinds.payload import Kind, Progress, Row

if TYPE_CHECKING:
    from lictor.codec.api import Info
    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture.rate_target import Reached, Target

SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm")
).union(
    (".avif", ".jp2", ".qoi", ".tga", ".tif", ".tiff", ".webp"),
    (".apng", ".avifs", ".bw", ".cur", ".dcx", ".dds", ".dib", ".flc", ".fli", ".icb", ".icns"),
    (".ico", ".j2c", ".j2k", ".jfif", ".jif", ".jpc", ".jpf", ".jpx", ".mpo", ".msp", ".pcx"),
    (".pfm", ".psd", ".ras", ".sgi", ".vda", ".vst", ".xbm", ".xpm"),
)
_SHOWN = ("width", "height", "channels", "bit_depth", "model", "quality", "bytes", "bpp")
_PARTS = (
    ("map_bytes", "quality map"),
    ("alpha_bytes", "alpha"),
    ("icc_bytes", "colour profile"),
    ("exif_bytes", "EXIF"),
    ("colour_bytes", "colour signalling"),
)


class Pictures(Kind):
    """Content: a `lictor.codec.image.pillow.Picture`."""

    name, one, whose = "pictures", "a picture", "a picture's"
    magic, suffixes, key = bitstream.MAGIC, SUFFIXES, "width"
    output = ".png"
    options = frozenset(
        ("quality", "effort", "model", "strip", "device", "roi", "roi_drop", "tune", "salvage")
    ).union(("target", "strict", "method", "stop", "measure"))
    decode_options = frozenset(("region", "reduce", "salvage", "progress", "precision", "device"))
    info_options = frozenset(("latents",))
    advice = "pictures take --quality"
    common = (ModelUnavailable, InvalidQuality, InvalidMethod, DeviceUnavailable)

    def sniff(self, name: str, start: bytes = b"") -> bool:
        """By its name only: what is in a file, Pillow knows."""
        return any(name.lower().endswith(suffix) for suffix in self.suffixes)

    def suffix(self, start: bytes) -> str:
        """PNG, whatever it was."""
        return ".png"

    def check_model(self, name: str) -> None:
        """Loads it, which the next file will not have to."""
        from lictor.codec.runtime import store
        from lictor.models.overfit import sizes

        if sizes.named(name) is None:
            store.load(name)

    def read(self, name: str, data: bytes | None = None, *, salvage: bool = False) -> Picture:
        """However large: who names a file knows it. Pillow's own limit is for what strangers send.

        salvage: take what there is of a damaged picture.
        """
        from PIL import Image

        from lictor.codec.image import pillow

        Image.MAX_IMAGE_PIXELS = bitstream.MAX_PIXELS // 2  # twice this is where Pillow refuses
        return pillow.read(name if data is None else data, salvage)

    def encode(
        self, content: Picture, options: Mapping[str, Any], progress: Progress | None = None
    ) -> tuple[bytes, Row]:
        """In the row, "ok" is false if parts of the picture were missing, or a target was missed.

        options: those of `lictor.codec.encode`; target: as `rate_target.given` makes it, in place
        of a quality; strict: a target is to be met; measure: the row is to tell the PSNR.
        """
        from lictor.codec import api
        from lictor.codec.image import pillow

        own = dict(options)
        target, strict, _ = own.pop("target", None), own.pop("strict", False), own.pop("salvage", 0)
        measure = own.pop("measure", False)
        if own.pop("strip", False):
            content = pillow.stripped(content)
        told: Row = {}
        if target is None:
            data = api.encode(content, progress=progress, **own)
        else:
            reached = api.encode_to(content, target, progress=progress, **own)
            data, told = reached.data, _told(target, reached, strict)
        notes = (*content.lost, *content.notes, *told.get("notes", ()))
        lost = {"ok": False} if content.lost else {}
        told |= {"psnr": _psnr(content, data)} if measure else {}
        return data, {**_row(api.info(data)), **told, **lost, "notes": notes}

    def decode(self, data: Any, **options: Any) -> Any:
        """A Pillow image."""
        from lictor.codec import api

        return api.decode(data, **options)

    def info(self, data: Any) -> Info:
        """From the header."""
        from lictor.codec import api

        return api.info(data)

    def check(self, data: Any) -> None:
        """All sections."""
        from lictor.codec.picture import file

        file.read(data)

    def unpack(
        self, data: Bytes, options: Mapping[str, Any], progress: Progress | None = None
    ) -> Picture:
        """With all bits."""
        from lictor.codec import api

        return api.decode_picture(data, progress=progress, **options)

    def write(self, content: Picture, file: IO[bytes], target: str, format: str) -> Iterable[str]:
        """As any format that Pillow writes."""
        from lictor.codec.image import pillow

        return pillow.write(content, file, format)

    def decoded(self, content: Picture, data: Bytes, notes: Iterable[str]) -> Row:
        """With "ok" false if parts of it were lost: then the file cannot be parsed to tell more."""
        from lictor.codec import api

        if content.lost:
            row = {**_size_row(content, data), "ok": False}
            return {**row, "notes": (*content.lost, *notes)}
        return {**_row(api.info(data)), "notes": tuple(notes)}

    def line(self, row: Row) -> str:
        """Size, colours, model, quality, and what takes how many bytes."""
        model = row["model"] or f"unknown model {row['model_id']}"
        others = {name: size for name, size in row["methods"].items() if name != "network"}
        coder = f"{model} (weights {row['weights']})"
        if len(others) == len(row["methods"]):
            coder = " and ".join(others)
        low = f"{row['quality_low']:g} to " if row["quality_low"] < row["quality"] else ""
        quality = "" if row["lossless"] else f"quality {low}{row['quality']:g}, "
        shares = row["shares"]
        if len(shares) > 1:
            said = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
            coder = f"{coder}, blocks: {said}"
        colour = ("gray", "gray with alpha", "RGB", "RGB with alpha")[row["channels"] - 1]
        sha256 = row.get("latents_sha256")
        parts = {**others, **{name: row[key] for key, name in _PARTS}}
        of_which = ", ".join(f"{size} of {name}" for name, size in parts.items() if size)
        tiles = f"{row['tiles']} tiles of {row['tile_width']}x{row['tile_height']}, "
        return (
            f"{row['width']}x{row['height']} {colour}, {row['bit_depth']} bits, {_colours(row)}"
            f"{tiles if row['tiles'] > 1 else ''}{coder}, "
            f"{quality}{row['bytes']} bytes"
            f"{f' ({of_which})' if of_which else ''}, {row['bpp']:.3f} bpp, format "
            f"{row['format_version']}{f', latents SHA-256 {sha256}' if sha256 else ''}"
        )

    def brief(self, row: Row, seconds: str) -> str:
        """Its size, what it takes, and which quality a target took."""
        cost = f"{row['width']}x{row['height']}, {self.total([row])}, {seconds}"
        if "target" not in row:
            return cost
        count = row["encodings"]
        quality = f"quality {row['quality']:g} after {count} encoding"
        return f"{cost}, {quality}{'' if count == 1 else 's'}"

    def total(self, rows: list[Row]) -> str:
        """Bytes, and bits per pixel."""
        size = sum(row["bytes"] for row in rows)
        pixels = sum(row["width"] * row["height"] for row in rows)
        return f"{size} bytes, {8 * size / pixels:.3f} bpp"


def _psnr(picture: Picture, data: bytes) -> float | None:
    """Of the colours that can be seen; None of a model that keeps only a part of a picture."""
    from lictor.codec import api
    from lictor.codec.distortion import psnr

    found = api.decode_picture(data)
    if found.colours.shape != picture.colours.shape:
        return None
    seen = ... if picture.alpha is None else picture.alpha > 0
    return psnr(picture.colours[seen], found.colours[seen])


def _told(target: Target, reached: Reached, strict: bool) -> Row:
    """How near a file came to its target."""
    return {
        "target": {target.kind: target.value},
        "reached": reached.value,
        "encodings": reached.encodings,
        "met": reached.met,
        "notes": (reached.note,) if reached.note else (),
    } | ({"ok": False} if strict and not reached.met else {})


def _row(info: Info) -> Row:
    return {key: getattr(info, key) for key in _SHOWN}


def _size_row(picture: Picture, data: Bytes) -> Row:
    height, width, channels = picture.pixels.shape
    return {
        "width": width,
        "height": height,
        "channels": channels,
        "bit_depth": picture.depth,
        "bytes": len(data),
        "bpp": 8 * len(data) / (width * height),
    }


def _colours(row: Row) -> str:
    """What is said of the colours beside a profile."""
    said = row["colour"]
    if not said:
        return ""
    cicp = f"cICP {'/'.join(map(str, said['cicp']))}" if "cicp" in said else ""
    name = said["name"] or "HDR luminances"
    return f"{name} ({cicp}), " if cicp else f"{name}, "

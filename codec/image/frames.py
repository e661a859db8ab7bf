"""Which of a file's pictures an image shows, and what of the others a user should know."""

from __future__ import annotations

from PIL import Image

from lictor.codec.errors import DamagedImage
from lictor.codec.image import pillow_errors


def notes(image: Image.Image) -> list[str]:
    """One line if the file has other frames, pages, layers or sizes than what is kept."""
    try:
        with pillow_errors.named():
            count = getattr(image, "n_frames", 1)
            position = image.tell() if count > 1 else 0
            layers = getattr(image, "layers", ()) if image.format == "PSD" else ()
    except DamagedImage:
        return ["has other frames, pages or layers, which are damaged; not kept"]
    if image.format == "PSD":
        return [f"has {len(layers)} layers; kept is what they show together"] if layers else []
    sizes = image.info.get("sizes", ())
    if image.format in ("ICO", "ICNS") and len(sizes) > 1:
        return [f"has {len(sizes)} pictures; only the largest is kept"]
    if count == 1 or image.format == "MPO":  # a phone's MPO is a JPEG with extras behind it
        return []
    which = f"number {position + 1}" if position else "the first"
    return [f"has {count} frames or pages; only {which} is kept"]

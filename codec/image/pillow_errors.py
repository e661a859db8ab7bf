"""What Pillow and tifffile raise, by our names: damaged, not read, too large, no picture at all.

Only calls into those packages belong into `named`: an error of our own code is no damage.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from PIL import Image, UnidentifiedImageError

from lictor.codec.errors import (
    CodecError,
    DamagedImage,
    ImageTooLarge,
    NotAnImage,
    UnsupportedImage,
)

for _package in ("PIL", "tifffile"):
    # Else what they log of damaged files goes to standard error where nobody set up logging.
    logging.getLogger(_package).addHandler(logging.NullHandler())

_NOT_READ = re.compile(
    r"unsupported|unimplemented|not (yet )?(supported|implemented|available)|unknown"
    r"|cannot (find|handle|determine)|unable to determine|no decoder|too large for",
    re.IGNORECASE,
)
"""What Pillow's and tifffile's messages say of valid files that they do not read."""
_FOREIGN = (
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
)
"""Where and how files begin that are pictures, but of no format of Pillow's."""
_CUT = re.compile(r"truncated|not enough image data|ends early|unexpected end", re.IGNORECASE)


@contextmanager
def named() -> Iterator[None]:
    """Plugins raise whatever damage leads them to; give it the right name, and no warnings."""
    try:
        with quiet():
            yield
    except (CodecError, MemoryError):
        raise
    except UnidentifiedImageError as e:
        raise NotAnImage("not a picture that can be read; give a PNG, JPEG, WebP, TIFF…") from e
    except Image.DecompressionBombError as e:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageTooLarge(f"has more than {limit} pixels; cut it into parts first") from e
    except Exception as e:
        if isinstance(e, OSError) and e.errno is not None:
            raise
        raise _named(e) from e


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, which would not say of which file they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _named(error: Exception) -> CodecError:
    text = one_line(error)
    if "imagecodecs" in text:
        return UnsupportedImage(
            f"needs imagecodecs to be read ({text}); pip install imagecodecs, or convert it to PNG"
        )
    if "Ghostscript" in text:
        return UnsupportedImage(
            "needs the program Ghostscript to be drawn; install ghostscript, or convert it to PNG"
        )
    if isinstance(error, NotImplementedError) or _NOT_READ.search(text):
        return UnsupportedImage(
            f"is of a kind that Pillow does not read here ({text}); convert it with another program"
        )
    what = "ends early" if _CUT.search(text) else "is damaged"
    return DamagedImage(f"the picture {what} ({text}); get another copy")


def is_cut(error: BaseException) -> bool:
    """Whether a file was found to end early, and not to be wrong in what is there."""
    cause = error.__cause__ or error
    return bool(_CUT.search(str(cause))) or isinstance(cause, EOFError)


def of_unidentified(file: IO[bytes]) -> CodecError | None:
    """Why a file that begins like some known format cannot be opened; None if it does not."""
    file.seek(0)
    data = file.read()
    for at, start, name in _FOREIGN:
        if data.startswith(start, at):
            return NotAnImage(f"is {name}, which Pillow does not read; convert it to PNG first")
    Image.init()
    for format in Image.ID:
        factory, accept = Image.OPEN[format]
        accepted = False
        try:
            with quiet():
                accepted = accept is not None and accept(data[:16]) is True
                if accepted:
                    factory(io.BytesIO(data), "").close()
        except MemoryError:
            raise
        except Exception as e:
            if accepted:
                return _beginning(format, e)
    return None


def _beginning(format: str, error: Exception) -> CodecError:
    text = one_line(error)
    if isinstance(error, NotImplementedError) or _NOT_READ.search(text):
        return UnsupportedImage(
            f"is {format} of a kind that Pillow does not read ({text}); convert it with another "
            "program"
        )
    return DamagedImage(
        f"the picture begins as {format}, but cannot be read ({text}); get another copy"
    )


def one_line(error: Exception) -> str:
    """What an exception says."""
    return " ".join(str(error).split()) or type(error).__name__

"""`lictor serve`: a page to try the codec on, from a server for one's own machine.

Nothing is kept: each request brings its picture and takes its result along. All work is done by
one thread, so that requests wait for each other instead of sharing the cores and the memory.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from lictor.codec import kinds
from lictor.codec.errors import (
    CodecError,
    ImageTooLarge,
    MissingPackage,
    NotAnImage,
    UnsupportedImage,
)
from lictor.codec.report.html import data, page

if TYPE_CHECKING:
    from flask import Flask, Response

    from lictor.codec.image.pillow import Picture

Result = TypeVar("Result")

WAITING = 8
"""Requests that are read and answered at a time; only one of them is at work."""
LOCAL = ("localhost", "127.0.0.1")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def serve(host: str, port: int, model: str, max_upload: int, max_pixels: int) -> None:
    """Serve until interrupted; then the process ends at once, with status 130 or 143.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        model: checkpoint to encode with; .bin files name their own.
        max_upload: bytes of the largest file taken.
        max_pixels: pixels of the largest picture taken.

    Raises:
        CodecError: MissingPackage or ModelUnavailable.
        OSError: the address cannot be listened on.
    """
    app = create_app(model, max_upload, max_pixels, host)
    from waitress import create_server

    # What is a little too large is still read, so that it can be answered in our words.
    server = create_server(
        app, host=host, port=port, threads=WAITING, max_request_body_size=4 * max_upload, ident=None
    )
    # Nothing has to be put away, and a network that runs cannot be asked to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os._exit(128 + number))
    shown = f"[{host}]" if ":" in host else host
    print(f"http://{shown}:{server.effective_port}/", flush=True)
    print("lictor serve: Ctrl-C ends it", file=sys.stderr, flush=True)
    server.run()


def create_app(model: str, max_upload: int, max_pixels: int, host: str = "127.0.0.1") -> Flask:
    """The WSGI application. Args and errors: as for `serve`."""
    if find_spec("flask") is None or find_spec("waitress") is None:
        raise MissingPackage(
            "lictor serve needs the packages flask and waitress; pip install 'lictor[serve]'"
        )
    from flask import Flask, request
    from PIL import Image
    from werkzeug.exceptions import HTTPException

    # Twice this is where Pillow refuses.
    Image.MAX_IMAGE_PIXELS = max_pixels // 2
    worker = ThreadPoolExecutor(1, "codec")
    worker.submit(_load, model).result()
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = max_upload
    if host in LOCAL:  # a name that strangers point at this machine is not answered
        app.config["TRUSTED_HOSTS"] = list(LOCAL)
    content = page("serve", {"settings": data("settings", {"model": model, "most": max_upload})})

    def work(job: Callable[..., Result], *arguments: Any) -> Result:
        return worker.submit(job, *arguments).result()

    @app.before_request
    def refuse_other_sites() -> tuple[dict[str, str], int] | None:
        if request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            return None
        return {"error": "asked from another site"}, 403

    @app.get("/")
    def index() -> str:
        return content

    @app.post("/api/open")
    def open_() -> dict[str, Any]:
        return work(opened, request.get_data(), max_pixels)

    @app.post("/api/encode")
    def encode() -> dict[str, Any]:
        return work(coded, request.get_data(), request.args.get("quality", ""), model)

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.errorhandler(Exception)
    def fail(error: Exception) -> tuple[dict[str, str], int]:
        if isinstance(error, HTTPException):
            status = error.code or 500
            return {"error": _too_large(max_upload) if status == 413 else error.name}, status
        if isinstance(error, CodecError):
            return {"error": str(error)}, 422
        app.logger.exception("unexpected")
        return {"error": "something unexpected went wrong; the terminal says what"}, 500

    return app


def _too_large(most: int) -> str:
    return (
        f"the file has more than {most / 1e6:g} MB; "
        "give a smaller one, or start lictor serve with a larger --max-upload"
    )


def _load(model: str) -> None:
    """Load the model and run it once, so that the first picture does not wait for it."""
    import numpy as np

    from lictor.codec import api

    api.decode(api.encode(np.zeros((64, 64, 3), np.uint8), model=model))


def opened(body: bytes, max_pixels: int) -> dict[str, Any]:
    """What an uploaded file is: a picture, or a .bin file, which is decoded.

    Raises:
        CodecError: whatever is wrong with it.
    """
    from lictor.codec import api

    if not body.startswith(kinds.MAGICS):
        picture = _picture(body)
        return {**_facts(picture), "bytes": len(body), "picture": _png(picture)}
    kind = kinds.of_file(body)
    if kind is not kinds.PICTURES:
        said = kind.line(vars(kind.info(body)))
        raise UnsupportedImage(
            f"a .bin file of {kind.name} ({said}), which this page does not show; `lictor decode` "
            "gives them"
        )
    about = api.info(body)
    if about.width * about.height > max_pixels:
        raise ImageTooLarge(
            f"{about.width}x{about.height} is more than {max_pixels} pixels; "
            "start lictor serve with a larger --max-megapixels"
        )
    start = perf_counter()
    picture = api.decode_picture(body)
    seconds = perf_counter() - start
    own = {"coded": vars(about), "decode_s": seconds, "bytes": len(body)}
    return {**_facts(picture), **own, "picture": _png(picture)}


def coded(body: bytes, quality: str, model: str) -> dict[str, Any]:
    """A picture's .bin file, what that decodes to, and what it measures.

    Raises:
        CodecError: whatever is wrong with the picture or the quality.
    """
    from lictor.codec import api

    picture = _picture(body)
    start = perf_counter()
    file = api.encode(picture, quality=quality, model=model)
    encoded = perf_counter()
    decoded = api.decode_picture(file)
    done = perf_counter()
    psnr = api.psnr(picture.colours, decoded.colours)
    about = api.info(file)
    return {
        "quality": about.quality,
        "bytes": len(file),
        "bpp": about.bpp,
        "psnr": psnr if isfinite(psnr) else None,
        "encode_s": encoded - start,
        "decode_s": done - encoded,
        "file": b64encode(file).decode(),
        "picture": _png(decoded),
    }


def _picture(body: bytes) -> Picture:
    """An upload as a picture; what is of another kind is told so."""
    from lictor.codec.image import pillow

    kind = (
        kinds.of_file(body)
        if body.startswith(kinds.MAGICS)
        else kinds.of_input("", body[: kinds.START])
    )
    if kind is not kinds.PICTURES:
        raise NotAnImage(
            f"holds {kind.one}, and this page shows pictures; `lictor encode` and `decode` take it"
        )
    return pillow.read(body)


def _facts(picture: Picture) -> dict[str, Any]:
    height, width, channels = picture.pixels.shape
    size = {"width": width, "height": height, "channels": channels}
    return {**size, "bit_depth": picture.depth, "notes": picture.notes}


def _png(picture: Picture) -> str:
    """The picture as browsers show it: PNG of 8 bits in sRGB, in base64."""
    from lictor.codec.image import pillow

    buffer = io.BytesIO()
    pillow.to_pillow(pillow.stripped(picture), depth=8).save(buffer, "PNG", compress_level=1)
    return b64encode(buffer.getbuffer()).decode()

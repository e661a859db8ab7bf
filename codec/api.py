"""Pictures to bytes and back: what `from lictor.codec import …` offers.

The work is in codec/picture/; what each needs is imported when it is called, and `info` needs
neither numpy nor torch.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from lictor.codec import quality as qualities
from lictor.codec.distortion import psnr as psnr
from lictor.codec.errors import InvalidTarget, TargetMissed
from lictor.codec.format.elements import Bytes
from lictor.codec.picture import arguments, rate_target, tuning
from lictor.codec.picture import decode as decoding
from lictor.codec.picture import encode as encoding
from lictor.codec.picture import verify as verifying
from lictor.codec.picture.decode import Answer as Answer
from lictor.codec.picture.decode import DecodeOptions, Region
from lictor.codec.picture.decode import Latents as Latents
from lictor.codec.picture.encode import DEFAULT_DROP, EncodeOptions
from lictor.codec.picture.encode import encode_to as encode_to
from lictor.codec.picture.info import Info as Info
from lictor.codec.picture.info import info as info
from lictor.codec.picture.verify import VerifyReport as VerifyReport
from lictor.codec.runtime.store import DEFAULT as DEFAULT_STORE
from lictor.codec.runtime.store import Store as Store

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lictor.codec.image.pillow import Picture
    from lictor.models.progress import Progress, Stop


def encode(
    image: Image | NDArray[Any] | Picture,
    *,
    quality: float | str | None = None,
    model: str | os.PathLike[str] | None = None,
    effort: int = 0,
    strip: bool = False,
    roi: Any = None,
    roi_drop: float = DEFAULT_DROP,
    tune: str | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    method: str = arguments.AUTO,
    size: int | str | None = None,
    bpp: float | None = None,
    psnr: float | None = None,
    ssim: float | None = None,
    salvage: bool = False,
    models: Store = DEFAULT_STORE,
    runtime: str | None = None,
    stop: Stop | None = None,
) -> bytes:
    """Encode a picture.

    A large one, above some 1472x1472 pixels, is coded in tiles, as many at a time as torch has
    threads (4 at most; 2 in a search); the bytes do not depend on how many.

    A student, such as student-lite0.ce, codes what `classify` needs of the middle of the picture,
    as RGB of 8 bits and 224x224 pixels; a picture of this size already is taken as it is.

    In place of a quality, one of size, bpp, psnr and ssim says what the file is to reach. It is
    found by measuring, within 1 % of the target, in six encodings at most. Where it cannot be had,
    the nearest is made, and a warning of the class TargetMissed says so.

    Args:
        image: a Pillow image; an array, uint8 or uint16 over their full range, (H, W) gray or
            (H, W, C) with C = 1 gray, 2 gray and alpha, 3 RGB or 4 RGBA; or what
            `lictor.codec.image.pillow.read` gives. A Pillow image has all of its 16 bits only as
            long as it was not loaded; of several frames, the one that it stands on is coded. What
            changes on the way (converted colours, frames left out) is told by a PictureWarning.
        quality: 0 (smallest file) … 100 (best picture), in steps of 0.25; 50 unless told otherwise.
            Or "lossless": all samples come back as they were, what alpha hides too; that needs no
            model.
        model: name of a shipped checkpoint, or path of a .safetensors file that train.py made. Or
            "overfit-s", "-m" or "-l" ("overfit" is m): networks of the picture's own, which are
            trained for minutes and are in the file. None: the shipped one of what bits are spent
            for, `tune`.
        effort: 0 codes what the network gives; 1…9 search for this picture's best latents first,
            for a smaller file or a better picture. Decoders see no difference. With "overfit",
            how long networks are trained, 500 iterations to 30,000; 0 is 2,000.
        strip: leave EXIF, the ICC profile and other signalling of colours out, after converting
            the colours to sRGB where they can be.
        roi: where quality is wanted, if not everywhere: a map, a Pillow image or an array of any
            size, which is scaled to the picture, white (255, 65535, True or 1.0) where it is and
            black where not; or a list of boxes (x, y, width, height), in pixels, with a weight of
            0…1 as a fifth number if one is wanted less than others; or "classify", where the
            classifier of `lictor bench --task classify` needs it. Each 16x16 pixels have one
            quality.
        roi_drop: by how much quality is lower where it is not wanted, 0…100; grays lie between.
        tune: what bits are spent for: "eyes" or "psnr". Without a model it chooses: weights that
            were trained for what eyes see, lictor-s.vis, or for squared errors, lictor-s.mse. With
            a model, "eyes" makes quality a map, lower where texture hides errors and higher in the
            dark, unless the weights were trained for eyes, which do so by themselves. None: a model
            that is given, as it is; else "eyes", but "psnr" for a psnr or a region of a task.
        progress: called with the steps done and their number: tiles, or iterations of the search.
        device: where networks run: "cpu", "cuda" or another of PyTorch's names, or "auto" for a
            GPU where there is one. Files made on different devices may differ a little; each
            decodes alike everywhere.
        method: "auto" takes for each block of 64x64 pixels what has the least bits + lambda ·
            error, and holds all to a bound of error that follows from the quality
            (docs/methods.md); "network", "linear" or "lossless" takes that for all of them.
            Students, and models that do not follow Lictor's qualities, are taken for all, too.
        size: bytes that the file may have, alpha and metadata counted; or text like "40kB" (1000
            bytes each) or "40KiB".
        bpp: bits per pixel of the file.
        psnr: dB over all colours, of what this machine decodes.
        ssim: likewise, 0…1; needs the package pytorch-msssim.
        salvage: of a Pillow image whose file is cut or damaged, take what is there, and paint over
            what is not; a PictureWarning says what that is.
        models: where to look for weights that are not shipped: a `lictor.codec.Store`; unless
            told otherwise, where the environment variable LICTOR_CHECKPOINTS says.
        runtime: what computes networks: "light", which needs no PyTorch, or "torch". Unless told
            otherwise, by this or the environment variable LICTOR_RUNTIME, the light one where it
            can: on the CPU, without a search. Streams of either decode to the same latents.
        stop: asked now and then while "overfit" trains; once it says True, the best so far is
            coded.

    Returns:
        The bytes of a .bin file, which name the model and need no flags to decode.

    Raises:
        CodecError: an ImageError, InvalidQuality, InvalidMethod, InvalidEffort, InvalidOption,
            InvalidRoi, InvalidTarget, MissingPackage, ModelUnavailable, TaskUnavailable,
            DeviceUnavailable or OutOfMemory.
    """
    target = rate_target.given(size=size, bpp=bpp, psnr=psnr, ssim=ssim)
    aims = {target.kind: target.value} if target else {}
    tuned = None if tune == "psnr" else tune
    method = arguments.method(method, quality, effort=effort, roi=roi, tune=tuned, **aims)
    exact = method == qualities.LOSSLESS
    if target is None:
        wanted = qualities.given(_number(quality, exact))
    elif quality is not None:
        raise InvalidTarget(f"give a quality or {target.kind}, not both")
    effort = arguments.effort(effort)
    picture, models = arguments.picture(image, salvage, exact), models.on(runtime)
    options = EncodeOptions(
        model, strip, roi, roi_drop, tune, progress, device, models, method, stop
    )
    task = encoding.Task.of(picture, options, effort, target.kind if target else "")
    if target is None:
        return task.file(wanted, effort).data
    reached = task.reach(target, effort)
    if reached.note:
        warnings.warn(reached.note, TargetMissed, stacklevel=2)
    return reached.data


def _number(quality: Any, exact: bool) -> Any:
    """What a header says of the quality."""
    if exact:
        return 100
    return qualities.DEFAULT if quality is None else quality


def decode(
    data: Bytes,
    *,
    region: Region | None = None,
    reduce: int = 1,
    salvage: bool = False,
    progress: Progress | None = None,
    precision: str = "float32",
    device: str = "cpu",
    models: Store = DEFAULT_STORE,
    runtime: str | None = None,
) -> Image:
    """Decode a file.

    Args:
        data: the whole file, as bytes.
        region: (x, y, width, height) in pixels: only this part. Its pixels are those that all of
            the picture would have there; of a large picture only the tiles it needs are decoded.
        reduce: 2, 4, 8 or 16: a preview of ⌈width / reduce⌉ x ⌈height / reduce⌉ pixels, without
            the synthesis where the weights allow it. It is near to `Image.reduce(reduce)` of the
            whole, but not the same (docs/pillow.md). Of a region, x and y must be multiples of it.
        salvage: paint damaged tiles over with what is around them, and leave out what else is
            damaged, instead of raising an error. `decode_picture` tells what was lost.
        progress: called with the tiles done and their number, if there are several.
        precision: of the synthesis, "float32", or "bfloat16", which is faster on GPUs and some
            CPUs and rounds a little more. The latents are the same.
        device: where networks run, as for `encode`. The latents are the same.
        models: where to look for weights that are not shipped, as for `encode`.
        runtime: what computes networks, as for `encode`; bfloat16 needs PyTorch. The latents are
            the same, pixels may differ by a level.

    Returns:
        A Pillow image, mode L, LA, RGB or RGBA, or I;16 for gray of 16 bits. Pillow has no other
        16-bit modes: `decode_picture` gives all bits. Its `info` has icc_profile and exif, and what
        else is said of the colours: gamma, chromaticity and srgb, as Pillow reads them from PNG,
        and cicp, mdcv and clli. Pillow saves none of these, so that icc_profile says the same where
        a profile can (Pillow saves it as PNG, TIFF and AVIF by itself, else if it is given). HDR is
        kept by `lictor.codec.image.pillow.write` of what `decode_picture` gives.

    Raises:
        CodecError: a FileError, InvalidRegion, InvalidOption, InvalidPrecision, DeviceUnavailable,
            ModelUnavailable or OutOfMemory. With `salvage`, a FileError if nothing of the picture
            can be had.
    """
    from lictor.codec.image import pillow

    options = DecodeOptions(
        region, salvage, progress, precision, device, models.on(runtime), reduce
    )
    return pillow.to_pillow(decoding.decode(data, options))


def decode_picture(
    data: Bytes,
    *,
    region: Region | None = None,
    reduce: int = 1,
    salvage: bool = False,
    progress: Progress | None = None,
    precision: str = "float32",
    device: str = "cpu",
    models: Store = DEFAULT_STORE,
    runtime: str | None = None,
) -> Picture:
    """Decode a file to arrays, with all bits.

    Returns:
        A `lictor.codec.image.pillow.Picture`: pixels, uint8 or uint16 (H, W, C), icc, exif,
        signalling, and what was lost.

    Args and errors: as for `decode`.
    """
    return decoding.decode(
        data,
        DecodeOptions(region, salvage, progress, precision, device, models.on(runtime), reduce),
    )


def latents(
    data: Bytes,
    *,
    device: str = "cpu",
    models: Store = DEFAULT_STORE,
    runtime: str | None = None,
) -> Latents:
    """Decode the entropy-coded part of a file; synthesises no picture.

    Two machines on which the hashes agree decode alike up to the synthesis. The values are the same
    everywhere, and are features that another network can learn from.

    Args and errors: as for `decode`.
    """
    return decoding.latents(data, DecodeOptions(device=device, models=models.on(runtime)))


def classify(
    data: Bytes,
    *,
    device: str = "cpu",
    models: Store = DEFAULT_STORE,
    runtime: str | None = None,
) -> Answer:
    """Decode a file that a student wrote, and let its tail look.

    Raises:
        NoClassifier: the file was written with a model that codes pictures.

    Other errors: as for `decode`.
    """
    return decoding.classify(data, DecodeOptions(device=device, models=models.on(runtime)))


def estimate(
    image: Image | NDArray[Any] | Picture,
    *,
    quality: float = qualities.DEFAULT,
    model: str | os.PathLike[str] | None = None,
    models: Store = DEFAULT_STORE,
    runtime: str | None = None,
) -> float:
    """Bytes that the model itself expects the latents of a picture to need, before any coding.

    Args and errors: as for `encode`.
    """
    codec = models.on(runtime).load(tuning.weights(model))
    picture = encoding.viewed(arguments.picture(image), codec)
    return encoding.estimate(picture, qualities.given(quality), codec)


def verify(
    image: Image | NDArray[Any] | Picture,
    *,
    quality: float | str | None = None,
    model: str | os.PathLike[str] | None = None,
    effort: int = 0,
    method: str = arguments.AUTO,
    models: Store = DEFAULT_STORE,
    runtime: str | None = None,
) -> VerifyReport:
    """Encode a picture, decode it twice, and compare all that should agree.

    That the latents decode as they were encoded is checked by every decode (LatentMismatch).

    Args and errors: as for `encode` and `decode`.
    """
    method = arguments.method(method, quality, effort=effort)
    exact = method == qualities.LOSSLESS
    wanted, effort = qualities.given(_number(quality, exact)), arguments.effort(effort)
    options = EncodeOptions(model, models=models.on(runtime), method=method)
    return verifying.verify(arguments.picture(image, exact=exact), wanted, effort, options)

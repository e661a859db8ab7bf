"""How near a decoded picture is: PSNR, MS-SSIM, SSIMULACRA2 and LPIPS, of RGB with 8 bits.

PSNR is over all samples of a picture, 10 log10(255² / MSE). MS-SSIM is pytorch_msssim's,
SSIMULACRA2 that of the package ssimulacra2, LPIPS that of the package lpips with AlexNet.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.bench.contender import Missing
from lictor.codec.distortion import psnr

if TYPE_CHECKING:
    from numpy.typing import NDArray

Metric = Callable[["NDArray[Any]", "NDArray[Any]"], float | None]
"""Of two uint8 arrays (H, W, 3); None where it is not defined."""

MS_SSIM_SIDE = 161
"""Shortest side that has five scales for windows of 11."""
SSIMULACRA2_SIDE = 8
"""Shortest side that it is defined for."""
_ALEXNET = "alexnet-owt-7be5be79.pth"


def available(names: Sequence[str] = ()) -> tuple[dict[str, Metric], dict[str, str]]:
    """The metrics that can be computed here, and why others cannot.

    names: only these; all that there are if empty.
    """
    ready, missing = {}, {}
    for name in names or MAKERS:
        try:
            ready[name] = MAKERS[name]()
        except Missing as e:
            missing[name] = str(e)
    return ready, missing


def _psnr() -> Metric:
    return psnr


def _ms_ssim() -> Metric:
    if find_spec("pytorch_msssim") is None:
        raise Missing("needs pytorch-msssim; pip install 'lictor[bench]'")
    return ms_ssim


def ms_ssim(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Multi-scale structural similarity, 1 for equal; None for sides below 161 pixels."""
    if min(a.shape[:2]) < MS_SSIM_SIDE:
        return None
    import torch
    from pytorch_msssim import ms_ssim as multi_scale

    with torch.inference_mode():
        return float(multi_scale(_tensor(a), _tensor(b), data_range=255))


def _ssimulacra2() -> Metric:
    if find_spec("ssimulacra2") is None:
        raise Missing("needs ssimulacra2; pip install 'lictor[bench]'")
    return _measure_ssimulacra2


def _measure_ssimulacra2(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """100 for equal, about 90 where no one sees it, 0 and less where all is wrong."""
    if min(a.shape[:2]) < SSIMULACRA2_SIDE:
        return None
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(_file(a), _file(b)))


def _file(pixels: NDArray[Any]) -> io.BytesIO:
    """As a picture file in memory: the package takes nothing else."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "BMP")
    file.seek(0)
    return file


def _lpips() -> Metric:
    if find_spec("lpips") is None:
        raise Missing("needs lpips and the weights of AlexNet; pip install lpips")
    import torch

    weights = Path(torch.hub.get_dir(), "checkpoints", _ALEXNET)
    if not weights.is_file():
        raise Missing(
            f"its backbone's weights are not here; torchvision.models.alexnet(weights='DEFAULT') "
            f"downloads them, to {weights.name} in torch's hub folder"
        )
    return _measure_lpips


def _measure_lpips(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    import torch

    with torch.inference_mode():
        return float(_lpips_network()(_tensor(a) / 127.5 - 1, _tensor(b) / 127.5 - 1))


@cache
def _lpips_network() -> Any:
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks torchvision for weights in an older way
        return lpips.LPIPS(net="alex", verbose=False).eval()


def _tensor(pixels: NDArray[Any]) -> Any:
    """Float (1, 3, H, W) in 0…255."""
    import torch

    planes = np.array(pixels.transpose(2, 0, 1)[None], np.float32)
    return torch.from_numpy(planes)


MAKERS: dict[str, Callable[[], Metric]] = {
    "psnr": _psnr,
    "ms_ssim": _ms_ssim,
    "ssimulacra2": _ssimulacra2,
    "lpips": _lpips,
}

"""What the examples of the documentation name: small pictures, arrays and files, in one folder."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from safetensors.numpy import save_file

from lictor.codec import encode

ROOT = Path(__file__).parents[1]


def fill(folder: Path) -> None:
    """Write everything that examples may take for granted."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    astronaut, cat = data.astronaut(), data.chelsea()
    china, flower = load_sample_images().images
    photo = Image.fromarray(astronaut[64:448])  # 512x384
    photo.save(folder / "photo.png")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    Image.fromarray(cat).save(folder / "photo.jpg", icc_profile=profile.tobytes())
    (folder / "photo.bin").write_bytes(encode(photo, quality=30))

    for name, pixels in {"a.jpg": china[:384, :512], "sub/b.png": flower[:384, :512]}.items():
        _save(pixels, folder / "photos" / name)
    for i, pixels in enumerate((astronaut, china)):
        _save(pixels[40:216, 120:312], folder / "kodak" / f"kodim0{i + 1}.png")
    ramp = np.linspace(0, 255, 24).astype(np.uint8)
    Image.fromarray(np.tile(ramp, (16, 1))).save(folder / "map.png")

    large = encode(photo.resize((1792, 1344)), quality=10)  # more than one tile
    (folder / "large.bin").write_bytes(large)
    damaged = bytearray(large)
    damaged[-len(large) // 8] ^= 0x55
    (folder / "damaged.bin").write_bytes(damaged)

    _arrays(folder)
    _weights(folder)
    _labelled(folder / "val.tar", {"n02123045_tabby": cat, "n07930864_cup": data.coffee()})
    curve = {"bpp": [0.05, 0.3, 1.0, 4.0], "psnr": [24.0, 29.0, 34.0, 42.0]}
    (folder / "published.json").write_text(json.dumps({"vtm": curve}))
    for name in ("examples", "train.py"):
        os.symlink(ROOT / name, folder / name)


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _arrays(folder: Path) -> None:
    """Maps of 112 channels, as plane-hyper.lite0 knows them: correlated, and not of unit size."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4, 112, 14, 14)).cumsum(2).cumsum(3)
    x[:, 1:] += 0.5 * x[:, :-1]
    features = (x - x.mean()).astype(np.float32)
    np.save(folder / "features.npy", features)
    vectors = rng.normal(size=(300, 16)).astype(np.float32)
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "cache.npy", features[:, :2, :, :12].reshape(4, 2, 14, 12))
    (folder / "features").mkdir()
    np.save(folder / "features" / "one.npy", features[:2])
    np.save(folder / "features" / "two.npy", np.maximum(features[2:], 0).astype(np.float16))


def _weights(folder: Path) -> None:
    """A network, its checkpoint before, and a folder of both."""
    rng = np.random.default_rng(6)
    scales = np.exp(rng.normal(size=(2, 96, 1)))
    before = {f"layers.{i}.weight": rng.normal(size=(96, 64)) * s for i, s in enumerate(scales)}
    after = {name: w + 1e-5 * rng.normal(size=w.shape) for name, w in before.items()}
    (folder / "run").mkdir()
    for names, tensors in ((("before", "run/1"), before), (("model", "run/2"), after)):
        for name in names:
            save_file(
                {k: w.astype(np.float32) for k, w in tensors.items()},
                folder / f"{name}.safetensors",
            )


def _labelled(path: Path, pictures: dict[str, np.ndarray]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, pixels in pictures.items():
            one = path.with_name(f"{name}.jpg")
            Image.fromarray(pixels[50:250, 100:300]).save(one)
            tar.add(one, one.name)
            one.unlink()

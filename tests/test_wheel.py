"""The wheel, installed in a clean environment outside the repository, does the main job."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
PACKAGES = ("checkpoints", "codec", "datasets", "entropy", "models", "training")

BUILT = (
    "lictor/entropy/_rans",
    "lictor/models/lossless/_photo",
    "lictor/models/lossless/_screen",
    "lictor/models/light/_kernels",
    "lictor/models/linear/_linear",
    "lictor/models/overfit/_fit",
    "lictor/models/overfit/_overfit",
    "lictor/codec/arrays/_field",
    "lictor/codec/picture/_wiener",
    "lictor/codec/weights/_cabac",
    "lictor/codec/weights/_weights",
)

pytestmark = pytest.mark.slow


def run(*command: object, **more) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def source_files() -> list[str]:
    """Files of the repository, those not yet committed too."""
    return run(
        "git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT
    ).splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("source")
    for name in source_files():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip, "--quiet", "--wheel-dir", out, copy)
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_every_module_and_nothing_else(wheel):
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    wanted = {
        f"lictor/{name.replace('codec/pillow_plugin/', 'pillow/').replace('codec/kv_face/', 'kv/')}"
        for name in source_files()
        if name.split("/")[0] in PACKAGES
        and (
            Path(name).suffix in {".py", ".pyi", ".typed", ".npz", ".json", ".lictor", ".preview"}
            or name.startswith(("codec/report/pages/", "codec/desktop/"))
        )
    }
    wanted.add("lictor/train.py")
    assert wanted <= names
    extra = {n for n in names - wanted if not n.startswith(BUILT)}
    assert not extra


def test_wheel_works_outside_the_repository(wheel, tmp_path):
    environment = tmp_path / "env"
    venv.create(environment, with_pip=True)
    binaries = environment / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    # Dependencies come from here: a plain path, so that no editable install is followed.
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(own) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LICTOR_CHECKPOINTS")}
    where = "import lictor.codec as c; print(c.__file__)"
    assert run(python, "-c", where, cwd=tmp_path, env=clean).startswith(own)
    backend = "from lictor.entropy import backend; print(backend())"
    assert run(python, "-c", backend, cwd=tmp_path, env=clean).strip() != "reference"

    from skimage import data

    pixels = data.astronaut()[:200, :301]
    Image.fromarray(pixels).save(tmp_path / "in.png")
    lictor = binaries / "lictor"
    run(lictor, "encode", "in.png", "out.bin", cwd=tmp_path, env=clean)
    run(lictor, "decode", "out.bin", "out.png", cwd=tmp_path, env=clean)
    decoded = np.asarray(Image.open(tmp_path / "out.png"))
    assert decoded.shape == pixels.shape
    error = np.square(decoded.astype(float) - pixels).mean()
    assert 10 * np.log10(255**2 / error) > 28
    assert "lictor-s.vis" in run(lictor, "info", "out.bin", cwd=tmp_path, env=clean)
    training = ("train", "in.png", "--out", "run", "steps=1", "crop=64", "batch=1", "workers=0")
    assert "done" in run(lictor, *training, cwd=tmp_path, env=clean)

    # As where only what the wheel needs is installed.
    (Path(own) / "sitecustomize.py").write_text("import sys; sys.modules['torch'] = None\n")
    run(lictor, "encode", "in.png", "light.bin", cwd=tmp_path, env=clean)
    run(lictor, "decode", "light.bin", "light.png", cwd=tmp_path, env=clean)
    light = np.asarray(Image.open(tmp_path / "light.png")).astype(int)
    assert np.abs(light - decoded).max() <= 1
    run(lictor, "export-onnx", "lictor-s.mse", "--into", "graphs", cwd=tmp_path, env=clean)
    refused = subprocess.run([lictor, *training], cwd=tmp_path, env=clean, capture_output=True)
    assert refused.returncode == 2 and b"lictor[torch]" in refused.stderr


def test_wheel_needs_little(wheel):
    """PyTorch is for extras, as all that is large is."""
    (name,) = (n for n in zipfile.ZipFile(wheel).namelist() if n.endswith(".dist-info/METADATA"))
    told = zipfile.ZipFile(wheel).read(name).decode()
    needed = [line for line in told.splitlines() if line.startswith("Requires-Dist:")]
    plain = {re.split("[^a-z]", line[15:])[0] for line in needed if "extra ==" not in line}
    assert plain == {"click", "numpy", "pillow", "safetensors", "tifffile", "tqdm"}

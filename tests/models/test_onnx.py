"""ONNX graphs: run in onnxruntime, they give what the runtimes give; the exact ones to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from lictor.codec.cli.main import cli
from lictor.models import ModelError, zoo
from lictor.models.light import load
from lictor.models.light.latents import UNIT, quarter, taken
from lictor.models.light.layers import put_together, spread_out
from lictor.models.onnx.export import graphs

ort = pytest.importorskip("onnxruntime")
if "lictor-s.mse" not in zoo.index():
    pytest.skip("the shipped weights are not in the tree", allow_module_level=True)

WHAT = ("analysis", "hyper-analysis", "side-tables", "hyper-synthesis", "synthesis")
STEPS = ("context-0", "context-1", "context-2", "context-3")
QUALITY, HEIGHT, WIDTH = 37.25, 128, 192


@pytest.fixture(scope="module")
def model() -> Any:
    return load.load("lictor-s.mse").model


@pytest.fixture(scope="module")
def sessions() -> dict[str, Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return {
        what: ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        for what, data in graphs("lictor-s.mse").items()
    }


def run(session: Any, **inputs: Any) -> list[np.ndarray]:
    given = {i.name: np.asarray(inputs[i.name]) for i in session.get_inputs()}
    return session.run(None, given)


@pytest.fixture(scope="module")
def y(sessions: dict[str, Any]) -> np.ndarray:
    x = np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH), np.float32)
    return run(sessions["analysis"], picture=x, quality=np.array([QUALITY], np.float32))[0]


STEP = np.array([round(4 * QUALITY)])


def test_transforms_are_those_of_the_runtime(sessions: dict[str, Any], model: Any, y: np.ndarray):
    x = np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH), np.float32)
    from lictor.models.light.part import Part
    from lictor.models.light.transforms import Analysis, HyperAnalysis

    squares = spread_out(np.ascontiguousarray(x.transpose(0, 2, 3, 1)) - np.float32(0.5), 8)
    own = Analysis(model.part["g_a"])(squares, STEP) * np.exp(Part.ladder(model.part["gain"])(STEP))
    np.testing.assert_allclose(y.transpose(0, 2, 3, 1), own, atol=2e-3, rtol=1e-4)
    (z,) = run(sessions["hyper-analysis"], y=y)
    own_z = HyperAnalysis(model.part["h_a"])(own)
    np.testing.assert_allclose(z.transpose(0, 2, 3, 1), own_z, atol=2e-3, rtol=1e-4)
    y_hat, quality = np.rint(y), np.array([QUALITY], np.float32)
    (shown,) = run(sessions["synthesis"], y_hat=y_hat, quality=quality)
    from lictor.models.quality import Quality

    expected = put_together(model.reconstruct(y_hat[0], Quality(int(STEP[0]))), 8)
    difference = np.abs(shown.transpose(0, 2, 3, 1) - expected.clip(0, 1))
    assert difference.max() < 0.5 / 255


@pytest.mark.parametrize("step", [0, 37, 149, 350, 400])
def test_exact_graphs_agree_to_the_bit(sessions: dict[str, Any], model: Any, step: int):
    rng, own, steps = np.random.default_rng(step), model.latents, np.array([step])
    z = rng.integers(-40, 40, (1, 2, 3, model.side), np.int32)
    z[0, 0, 0, :4] = 2**20, -(2**20), 99999, -99999
    (p,) = run(sessions["hyper-synthesis"], z=z, step=steps)
    held = (z * UNIT).clip(-(2.0**23), 2.0**23)
    np.testing.assert_array_equal(p, own.h_s(held, steps))
    (tables,) = run(sessions["side-tables"], step=steps)
    np.testing.assert_array_equal(tables[0], index(own.z_scale(steps))[0, 0, 0])
    octave = np.ldexp(1.0, own.octave.astype(np.int32))
    known = np.floor(rng.normal(size=(*p.shape[:3], octave.size)) * 1e6)
    seen = np.floor(known / octave + 0.5).clip(-(2.0**23), 2.0**23)
    for k in range(4):
        mean, tables = run(sessions[f"context-{k}"], prior=p, known=known, step=steps)
        means, scales = np.split(own.context.steps[k](p, seen), 2, axis=-1)
        here = quarter(k, octave.size)
        unit = taken(np.broadcast_to(octave, known.shape), here)
        np.testing.assert_array_equal(mean, np.floor(means * unit + 0.5)[:, 0])
        base = taken(np.broadcast_to(own.context.scale(steps), known.shape), here)
        np.testing.assert_array_equal(tables, index(scales + base)[:, 0])


def index(scale: np.ndarray) -> np.ndarray:
    s = scale / UNIT
    return np.floor(8 * (s + np.minimum(s, 4)) + 0.5).clip(0, 127).astype(np.uint8)


def test_the_command_writes_them(tmp_path: Any):
    done = CliRunner().invoke(cli, ["export-onnx", "lictor-s.task", "--into", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert names == {f"lictor-s.task.{what}.onnx" for what in WHAT + STEPS}
    assert sum(path.stat().st_size for path in (tmp_path / "o").iterdir()) < 20_000_000


@pytest.mark.parametrize("name", ["student-lite0.ce", "plane-hyper.lite0"])
def test_others_have_none(name: str):
    with pytest.raises(ModelError, match="has no ONNX graphs"):
        graphs(name)

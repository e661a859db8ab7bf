"""Files of a student: written, read, refused, and what the command line makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lictor import codec
from lictor.codec import CodecError, api
from lictor.codec.cli.main import cli
from lictor.codec.errors import LatentMismatch, NoClassifier
from lictor.codec.image.pillow import middle
from lictor.models import checkpoint, registry, zoo
from lictor.models.quality import Quality
from lictor.models.task.student import Klt


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides real models."""


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained student whose files decode."""
    torch.manual_seed(0)
    model = registry.create("student-lite0")
    basis = torch.linalg.qr(torch.randn(160, 160))[0]
    model.start_from_klt(Klt(basis, basis.T, torch.zeros(160), torch.ones(160)), 0.1, 0.01)
    path = tmp_path_factory.mktemp("weights") / "student-lite0.test.safetensors"
    checkpoint.save(model, path, "student-lite0.test", {})
    return path


@pytest.fixture(autouse=True)
def found(student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(student.parent))


@pytest.fixture
def data(student: Path, china: np.ndarray) -> bytes:
    return codec.encode(china, model=student, quality=60)


def test_a_file_answers_and_has_a_preview(data: bytes, student: Path):
    about = codec.info(data)
    assert (about.width, about.height, about.model) == (224, 224, "student-lite0.test")
    answer = codec.classify(data)
    assert answer.scores.shape == (1000,)
    assert answer.features.shape == (1280,)
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert codec.decode(data).size == (224, 224)
    latents = codec.latents(data)
    model = checkpoint.load(str(student))
    seen = model.answer(torch.from_numpy(latents.values)[None], Quality.of(60))
    assert np.allclose(seen.scores[0].numpy(), answer.scores, atol=1e-5)


def test_the_middle_is_what_is_coded(china: np.ndarray, camera: np.ndarray, student: Path):
    square = middle(china, 224)
    whole = codec.encode(china, model=student)
    assert codec.encode(square, model=student) == whole
    wide = china.astype(np.uint16) * 257
    assert codec.encode(wide, model=student) == whole
    alpha = np.dstack([china, np.full(china.shape[:2], 9, np.uint8)])
    assert codec.encode(alpha, model=student) == whole
    assert codec.info(codec.encode(camera, model=student)).channels == 3
    assert codec.info(codec.encode(china[:1, :1], model=student)).width == 224


def test_verify_and_estimate(china: np.ndarray, student: Path):
    report = codec.verify(china, model=student, quality=30)
    assert report.ok, report


def test_damage_has_a_name(data: bytes):
    random = np.random.default_rng(0)
    for size in range(0, len(data), max(1, len(data) // 40)):
        with pytest.raises(CodecError):
            codec.classify(data[:size])
    for place in random.integers(0, len(data), 60):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(random.integers(8))
        with pytest.raises(CodecError):
            codec.classify(damaged)


def test_another_stream_behind_right_checks(data: bytes):
    """What a hostile encoder could write: every check right, other symbols."""
    from lictor.codec.format import picture as bitstream

    header, sections = bitstream.read(data)
    stream = bytearray(sections[0].payload)
    stream[len(stream) // 2] ^= 0x55
    with pytest.raises(LatentMismatch):
        codec.classify(bitstream.write(header, bytes(stream)))


def test_sides_that_no_student_writes(data: bytes):
    """A larger picture than a student's is answered or refused, never a crash."""
    from lictor.codec.format import picture as bitstream

    header, sections = bitstream.read(data)
    for side in (1, 96, 1000):
        header.width = header.height = side
        with pytest.raises(CodecError):
            codec.classify(bitstream.write(header, bytes(sections[0].payload)))


@pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="weights not in the tree")
def test_pictures_are_not_classified(china: np.ndarray):
    with pytest.raises(NoClassifier, match="codes pictures"):
        codec.classify(codec.encode(china[:64, :64]))


def test_command_line(tmp_path: Path, china: np.ndarray, student: Path):
    from PIL import Image

    photo, coded = tmp_path / "china.png", tmp_path / "china.bin"
    Image.fromarray(china).save(photo)
    run = CliRunner().invoke
    done = run(cli, ["encode", str(photo), str(coded), "--model", str(student)])
    assert done.exit_code == 0, done.output
    done = run(cli, ["classify", str(coded), "--top", "2", "--json"])
    (row,) = [json.loads(line) for line in done.output.splitlines()]
    answers = row["answers"]
    assert len(answers) == 2
    best = api.classify(coded.read_bytes()).scores.argmax()
    assert answers[0]["class"] == best
    assert answers[0]["probability"] >= answers[1]["probability"]
    done = run(cli, ["classify", str(photo)])
    assert done.exit_code != 0


SHIPPED = "student-lite0.ce"


@pytest.mark.skipif(SHIPPED not in zoo.index(), reason=f"{SHIPPED} is not in the tree")
def test_the_shipped_student_knows_a_cup_of_coffee():
    from skimage import data as photos

    pictures = {"coffee": (504, 967, 968), "chelsea": (281, 282, 285)}
    for name, answers in pictures.items():  # mugs and espresso; cats
        data = codec.encode(getattr(photos, name)(), model=SHIPPED, quality=60)
        assert len(data) < 2000
        assert codec.classify(data).scores.argmax() in answers, name

"""Files kept for ever, of the models that code no pictures: latents to the bit, the rest nearly.

tests/golden/make_models.py made them. A file that is missing is a failure.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from lictor.models import zoo

HERE = Path(__file__).parents[1] / "golden"
FOLDER = HERE / "models"


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides the shipped models."""


def index() -> dict[str, Any]:
    return json.loads((FOLDER / "index.json").read_text())


def test_every_model_that_codes_no_pictures_has_one():
    others = {name for name in zoo.index() if not name.startswith("lictor-")}
    assert others == set(index())
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {f"{name}.bin" for name in others} | {"index.json"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 30_000


@pytest.mark.parametrize("name", sorted(index()))
def test_decodes_as_it_did(name: str):
    golden = index()[name]
    assert golden["weights"] == zoo.index()[name].sha256, (
        f"{name} is not what its golden file was made with: put the old weights back, or, if they "
        f"were replaced on purpose, run python tests/golden/make_models.py {name}"
    )
    maker = runpy.run_path(str(HERE / "make_models.py"))
    found = maker["describe"](name, (FOLDER / f"{name}.bin").read_bytes())
    assert found["latents"] == golden["latents"]
    assert found.get("answers") == golden.get("answers")
    for value, expected in zip(found.get("values", []), golden.get("values", []), strict=True):
        assert value == pytest.approx(expected, rel=1e-3, abs=1e-2)

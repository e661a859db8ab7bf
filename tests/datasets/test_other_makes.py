"""The pictures to judge by are many, and not of the generator's make."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def makes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lictor_other_makes", HERE / "other_makes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_many_and_no_two_alike(makes):
    made = makes.pictures()
    assert len(made) >= 40
    assert len({picture.tobytes() for picture in made.values()}) == len(made)
    for name, picture in made.items():
        assert picture.dtype == np.uint8, name
        assert picture.ndim == 3, name
        assert picture.shape[2] == 3, name
        assert all(120 <= n <= 512 for n in picture.shape[:2]), (name, picture.shape)
        assert np.ptp(picture) >= 60, name


def test_they_are_always_the_same(makes):
    one, same = makes.pictures(), makes.pictures()
    for name, picture in one.items():
        np.testing.assert_array_equal(picture, same[name], err_msg=name)


def test_what_needs_an_absent_package_is_left_out_and_said(makes, monkeypatch, capsys):
    def absent() -> np.ndarray:
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setitem(makes.NEEDED, "figure_lines", ("matplotlib", absent))
    assert "figure_lines" not in makes.pictures()
    assert "figure_lines is left out: matplotlib" in capsys.readouterr().err


def test_none_is_of_the_generators_make():
    tree = ast.parse((HERE / "other_makes.py").read_text())
    modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    modules += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert not [module for module in modules if module.startswith("lictor")]

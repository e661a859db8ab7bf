"""`lictor train` and `lictor export`."""

import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from lictor.codec.cli.main import cli


def lictor(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="lictor")


def test_train_then_resume_then_export(tiny, photos, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('crop = 64\nbatch = 2\nworkers = 0\nmodel = "lictor-tiny"\nthreads = 1\n')
    out = tmp_path / "run"
    done = lictor("train", photos, recipe, "--out", out, "steps=1", "hold_out=0.5")
    assert done.exit_code == 0, done.output
    assert "lictor-tiny.mine.safetensors: done" in done.output
    done = lictor("train", "--resume", "--out", out, "steps=2")
    assert done.exit_code == 0, done.output

    done = lictor("export", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(out / "lictor-tiny.mine.safetensors")
    done = lictor("export", tmp_path)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "holds no run" in done.stderr


def test_every_setting_is_listed_and_may_be_given(photos):
    listed = lictor("train", "--settings")
    assert listed.exit_code == 0
    assert "bf16: bool = False" in listed.stdout
    before = list(sys.argv)
    wrong = lictor("train", photos, "--minutes", "5", "minuets=3")
    assert wrong.exit_code == 2
    assert wrong.stderr == "lictor train: unknown setting 'minuets'; did you mean 'minutes'?\n"
    assert sys.argv == before


def test_train_needs_pictures():
    done = lictor("train")
    assert done.exit_code == 2
    assert "name the pictures to train on" in done.stderr


@pytest.mark.parametrize("command", [["train", "--help"], ["--help"]])
def test_help_loads_no_torch(command):
    code = (
        "import sys\nfrom lictor.codec.cli.main import cli\n"
        f"try: cli.main({command!r})\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules\nassert 'numpy' not in sys.modules\n"
    )
    assert "Usage" in subprocess.check_output([sys.executable, "-c", code], text=True)

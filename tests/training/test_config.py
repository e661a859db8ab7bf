"""Settings: where they come from, and what is said about wrong ones."""

from dataclasses import asdict, fields

import pytest

from lictor.training import config as settings
from lictor.training.config import Config, configure


def test_files_then_arguments(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('data = "photos"\nminutes = 5\nbf16 = true\nbatch = 4\n')
    config = configure([str(recipe), "minutes=2.5", "batch=3"])
    assert (config.data, config.minutes, config.batch, config.bf16) == ("photos", 2.5, 3, True)


def test_data_that_a_shell_has_expanded(tmp_path):
    (tmp_path / "recipe.toml").write_text('data = "other"\n')
    arguments = [str(tmp_path / "recipe.toml"), "data=a-0.tar", "data=a-1.tar"]
    assert configure(arguments).data == "a-0.tar,a-1.tar"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=x", "minuets=3"], "unknown setting 'minuets'; did you mean 'minutes'"),
        (["data=x", "zzzz=3"], "unknown setting 'zzzz'; `lictor train --settings` lists all"),
        (["data=x", "batch=many"], "batch takes a whole number, not 'many'"),
        (["data=x", "minutes=soon"], "minutes takes a number, not 'soon'"),
        (["data=x", "resume=perhaps"], "resume takes true or false"),
        (["data=x", "crop=100"], "multiples of 64"),
        (["data=x", "late_crop=32"], "multiples of 64"),
        (["data=x", "batch=0"], "batch is 0; give 1 or more"),
        (["data=x", "late=1.5"], "late is 1.5; give 0 to 1"),
        (["data=x", "minutes=0"], "minutes is 0.0; give more than 0"),
        (["photos"], "'photos' is neither KEY=VALUE nor a .toml file"),
        ([], "name the pictures"),
    ],
)
def test_what_is_wrong_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        configure(arguments)


@pytest.mark.parametrize("text", ["batch = 2.5", "bf16 = 1", "crop = [64]", "data = ["])
def test_wrong_files(tmp_path, text):
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(ValueError):
        configure([str(tmp_path / "wrong.toml")])


def test_without_model_or_weights_the_shipped_model_is_tuned_gently():
    tuned, fresh = configure(["data=x"]), configure(["data=x", "model=lictor-s"])
    assert (tuned.weights, fresh.weights) == ("lictor-s.mse", "")
    assert tuned.learning_rate < fresh.learning_rate
    assert configure(["data=x", "learning_rate=0.01"]).learning_rate == 0.01


def test_settings_written_are_settings_read(tmp_path):
    config = configure(['data=a "b" ü\\', "bf16=true", "learning_rate=0.00001", "steps=7"])
    settings.write(config, tmp_path / settings.SETTINGS)
    assert asdict(configure([str(tmp_path / settings.SETTINGS)])) == asdict(config)


def test_resume_takes_the_settings_of_the_run(tmp_path):
    config = configure(["data=x", "batch=16", "steps=7"])
    settings.write(config, tmp_path / settings.SETTINGS)
    resumed = configure(["resume=true", f"out={tmp_path}", "steps=9"])
    assert (resumed.data, resumed.batch, resumed.steps) == ("x", 16, 9)


def test_the_listing_explains_every_setting():
    lines = settings.listing().splitlines()
    for field in fields(Config):
        assert any(line.startswith(f"{field.name}: ") for line in lines)

"""Waiting threads do not spin for long, unless the user wants it."""

import os

import pytest

from lictor.codec.runtime.threads import wait_briefly


@pytest.mark.parametrize(
    ("given", "count"),
    [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_what_the_user_set_stays(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], count: str | None
):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that the test's own change is undone, too
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == count

"""Waiting threads do not spin, unless the user wants it."""

import os

import pytest

from lictor.codec.threads import wait_politely


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch, before: str | None, after: str):
    monkeypatch.setenv("OMP_WAIT_POLICY", before or "")
    if before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    wait_politely()
    assert os.environ["OMP_WAIT_POLICY"] == after

"""Faults on a Ray cluster of this machine, all of faults.py in one run; docs/scale.md has each."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from lictor.models import zoo

NEEDED = ("ray", "sklearn")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree")
def test_nothing_is_lost_doubled_or_half():
    missing = [name for name in NEEDED if not find_spec(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: pip install 'lictor[ray,test]'")
    command = [sys.executable, Path(__file__).with_name("faults.py"), "all"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    rows = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]
    assert len(rows) == 1, run.stderr
    [row] = rows
    assert row["lost"] == row["double"] == row["half"] == 0, row
    assert row["named"] == 2 and row["inputs"] == row["outputs"] + 1 == 56, row
    assert row["statuses"][0] < 0 and row["statuses"][1:] == [1], row

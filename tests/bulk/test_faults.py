"""Faults on a Ray cluster of this machine: faults.py in one go, as docs/scale.md has its table."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from lictor.models import zoo

FAULTS = ("none", "coder", "worker", "raylet", "driver", "shard", "poison")
NEEDED = ("ray", "sklearn")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree")
def test_nothing_is_lost_doubled_or_half():
    missing = [name for name in NEEDED if not find_spec(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: pip install 'lictor[ray,test]'")
    store = ["store"] if find_spec("moto") and find_spec("s3fs") else []
    command = [sys.executable, Path(__file__).with_name("faults.py"), *FAULTS, *store]
    run = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    rows = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]
    assert [row["fault"] for row in rows] == [*FAULTS, *store], run.stderr
    for row in rows:
        assert row["lost"] == row["double"] == row["half"] == 0, row
        assert row["named"] == (row["fault"] in ("shard", "poison")), row
        assert row["inputs"] == row["outputs"] + (row["fault"] == "poison"), row
        assert row["statuses"][-1] == row["named"], row

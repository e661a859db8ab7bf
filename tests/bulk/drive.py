"""The `lictor` command whose bulk work is slow, and ended by poison: for faults.py."""

import bulk_work

from lictor.codec.cli import bulk_run
from lictor.codec.cli.main import main

if __name__ == "__main__":
    bulk_run.Coding = bulk_work.Poisoned  # type: ignore[misc]
    main()

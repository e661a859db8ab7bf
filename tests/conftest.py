"""What holds for all tests."""

import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from lictor.codec.runtime.threads import wait_briefly

wait_briefly()  # before any test imports torch

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and what tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process waits for the last of another."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")
def pillow_forgets() -> Iterator[None]:
    """What a file's tests register with Pillow is gone after them, for the next file's."""
    Image.init()  # so that what Pillow registers late is not taken for theirs
    tables: tuple[dict[str, Any], ...] = Image.OPEN, Image.SAVE, Image.MIME, Image.EXTENSION
    formats, entries = [*Image.ID], [{**table} for table in tables]
    yield
    Image.ID[:] = formats
    for table, kept in zip(tables, entries, strict=True):
        table.clear()
        table.update(kept)
    sys.modules.pop("lictor.pillow", None)  # whoever imports it anew, registers it

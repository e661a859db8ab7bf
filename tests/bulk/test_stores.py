"""gs:// and hf://, by the packages that people have for them, against servers of this machine."""

from __future__ import annotations

import http.server
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from bulk_runs import done, packed, samples

from lictor.codec.bulk import manifest, sources, storage
from lictor.codec.bulk.samples import Wanted
from lictor.codec.cli.main import cli

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install lictor[ray]")
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}


@pytest.mark.parametrize("scheme", PACKAGES)
def test_a_package_that_is_missing_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch):
    registry = sys.modules["fsspec.registry"]  # `fsspec.registry` is what this holds
    monkeypatch.delitem(registry._registry, scheme, raising=False)
    monkeypatch.setitem(sys.modules, PACKAGES[scheme], None)
    ran = CliRunner().invoke(cli, ["bulk", f"{scheme}://bucket/in", "out"])
    assert ran.exit_code == 2 and ran.stderr.count("\n") == 1
    assert f"{scheme}:// needs a package" in ran.stderr and PACKAGES[scheme] in ran.stderr


class Hub(http.server.BaseHTTPRequestHandler):
    """Hugging Face's, with one data set of one tar."""

    data = b""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if "/tree/main" in path:
            self.answer(json.dumps([self.entry()]).encode())
        elif path.startswith("/api/datasets/me/photos"):
            self.answer(json.dumps({"id": "me/photos", "sha": "1" * 40}).encode())
        elif path.endswith("/resolve/main/in.tar"):
            start, end = re.findall(r"\d+", self.headers["Range"])
            self.answer(self.data[int(start) : int(end) + 1], 206)
        else:
            self.answer(b"", 404)

    def entry(self) -> dict[str, Any]:
        return {"type": "file", "oid": "0" * 40, "size": len(self.data), "path": "in.tar"}

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    missing = "huggingface_hub is not installed"
    constants = pytest.importorskip("huggingface_hub.constants", reason=missing)
    from huggingface_hub import HfFileSystem

    data = packed(tmp_path / "in.tar", samples(30)).read_bytes()
    handler = type("Own", (Hub,), {"data": data})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    here = f"http://127.0.0.1:{server.server_port}"
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        there = getattr(constants, name)
        monkeypatch.setattr(constants, name, there.replace(constants._HF_DEFAULT_ENDPOINT, here))
    HfFileSystem.clear_instance_cache()
    yield
    HfFileSystem.clear_instance_cache()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_data_set_of_hugging_face(hub: None, tmp_path: Path):
    assert type(storage.of("hf://datasets")._files).__module__.startswith("huggingface_hub")
    wanted = Wanted(frozenset((".png",)))
    [piece] = sources.find(["hf://datasets/me/photos/*.tar"], wanted)
    assert piece.path == "hf://datasets/me/photos/in.tar"
    result, _, _ = done("hf://datasets/me/photos", tmp_path / "out", size=piece.size // 10)
    assert result.ok and result.total("items") == 30 and len(result.heads) > 5


def test_google_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("gcsfs", reason="gcsfs is not installed")
    emulator = pytest.importorskip(
        "gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed"
    )
    port = 9000 + os.getpid() % 999
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    try:
        store = storage.of("gs://bucket")
        assert type(store._files).__module__.startswith("gcsfs")
        store.write("gs://bucket/in.tar", packed(tmp_path / "in.tar", samples(30)).read_bytes())
        for again in (False, True):
            result, _, watch = done("gs://bucket/in.tar", "gs://bucket/out", size=5000)
            assert result.ok and result.total("items") == 30
            assert watch.left == (0 if again else len(result.heads))
        rows = list(manifest.rows("gs://bucket/out"))
        assert len(rows) == len({row["input"] for row in rows}) == 30
    finally:
        server.stop()

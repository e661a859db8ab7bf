"""CompressAI is optional: nothing imports it unasked, and without it the error says what to do."""

import subprocess
import sys

import pytest

from lictor import models
from lictor.models.picture.compressai_adapter import ARCHITECTURES
from lictor.models.picture.compressai_import import import_weights


def test_nothing_imports_it_unasked():
    code = (
        "import sys, lictor.models.picture.compressai_import; from lictor.models import registry;"
        "registry.create('lictor-s'); sys.exit('compressai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_it_the_error_names_the_package(architecture, monkeypatch, tmp_path):
    assert architecture in models.architectures()
    monkeypatch.setitem(sys.modules, "compressai.models", None)
    with pytest.raises(models.ModelError, match=r"pip install 'lictor\[compressai\]'"):
        models.create(architecture)
    with pytest.raises(models.ModelError, match=r"pip install 'lictor\[compressai\]'"):
        import_weights(architecture, {}, tmp_path, "t")

"""Sentence embeddings as a .npy file, to code with `lictor encode` or `lictor bench features`.

    pip install wordllama
    python examples/sentence_embeddings.py features/sentences-256.npy

The sentences are the docstrings of Python's standard library; the model is WordLlama's (MIT), whose
256-dimensional weights and tokenizer come in its wheel. Writes float32 (sentences, 256).
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def sentences(first: str = "_", last: str = "z") -> Iterator[str]:
    """Sentences of docstrings, in the order of the files' names, which begin with first…last."""
    found = sorted(Path(ast.__file__).parent.glob("*.py"))
    for path in (p for p in found if first <= p.name[0] <= last):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = " ".join((ast.get_docstring(node) or "").split())
                yield from (s for s in re.split(r"(?<=[.!?])\s+", text) if 20 < len(s) < 300)


def model() -> Any:
    """The model, from the files of its wheel alone."""
    import wordllama
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = Path(wordllama.__file__).parent
    weights = folder / "weights" / "l2_supercat_256.safetensors"
    words = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
    (embedding,) = load_file(weights).values()
    return wordllama.WordLlamaInference(embedding, Tokenizer.from_file(str(words)))


def main() -> None:
    """Read the arguments, embed, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the .npy file")
    parser.add_argument("--count", type=int, default=4096, help="sentences to take")
    a = parser.parse_args()
    found = list(dict.fromkeys(sentences()))[: a.count]
    x = model().embed(found).astype(np.float32)
    np.save(a.out, x)
    print(a.out, x.shape)


if __name__ == "__main__":
    main()

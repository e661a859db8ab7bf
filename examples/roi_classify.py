"""What `--roi-task classify` gives at equal file size.

    pip install 'lictor[task]'
    python examples/roi_classify.py photos.tar --qualities 10,25

Each picture is encoded as a whole at a quality, and with the map that EfficientNet-Lite0's
gradients give at the highest quality whose file is no larger. Then the decoded pictures are shown
to it, and to EfficientNet-Lite2, which had no part in the map. Names of pictures may begin with a
WordNet id.
Pictures are first cut to the square that Lite0 sees, so that the map gains nothing by leaving out
what no network looks at; --whole leaves them as they are.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import islice

import numpy as np
import torch
from roi_boxes import largest

from lictor.codec import decode, encode
from lictor.codec.bench import classify
from lictor.codec.bench.pictures import find
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import classifier_view, task_roi

Look = Callable[[np.ndarray], int]


def networks() -> dict[str, Look]:
    """The class that each network gives a picture."""
    return {name: partial(_answer, f"efficientnet-{name}") for name in ("lite0", "lite2")}


def _answer(name: str, pixels: np.ndarray) -> int:
    return int(
        classifier_view.network(name)(torch.from_numpy(classifier_view.view(pixels, name))).argmax()
    )


def square(pixels: np.ndarray) -> np.ndarray:
    """What Lite0 sees."""
    left, top, side = (round(n) for n in classifier_view.place(*pixels.shape[1::-1]))
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def wanted(pixels: np.ndarray, drop: float) -> np.ndarray:
    """The map that `roi="classify"` finds, as a picture, so that it is found once."""
    places = task_roi.weights(Picture(pixels), "classify", drop)
    return np.kron(places, np.ones((16, 16)))[: pixels.shape[0], : pixels.shape[1]]


def main() -> None:
    """Read the arguments, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("source", help="folder or tar file of pictures")
    parser.add_argument("--count", type=int, default=100, help="pictures to take")
    parser.add_argument("--qualities", default="10,25", help="of the plain files")
    parser.add_argument("--drop", type=float, default=40, help="as --roi-drop")
    parser.add_argument("--whole", action="store_true", help="whole pictures, not squares")
    a = parser.parse_args()
    nets = networks()
    counts: dict[tuple[float, str], list[np.ndarray]] = defaultdict(list)
    ids = classify.wordnet_ids()
    for source in islice(find([a.source]), a.count):
        pixels = classifier_view.rgb(source.read().pixels)
        pixels = pixels if a.whole else square(pixels)
        truth = ids.get(source.label or "", -1)
        own = {name: look(pixels) for name, look in nets.items()}
        map = wanted(pixels, a.drop)
        for quality in (float(q) for q in a.qualities.split(",")):
            plain = encode(pixels, quality=quality)
            mapped = largest(pixels, len(plain), roi=map, roi_drop=a.drop)
            for way, data in (("plain", plain), ("classify", mapped)):
                decoded = np.asarray(decode(data))
                row = [8 * len(data) / (pixels.shape[0] * pixels.shape[1])]
                for name, look in nets.items():
                    now = look(decoded)
                    row += [now == own[name], now == truth]
                counts[quality, way].append(np.array(row, float))
    heads = [f"{name}: {what}" for name in nets for what in ("same class", "top-1")]
    print("| quality | file | bpp |", " | ".join(heads), "|")
    print("|---" * (3 + len(heads)) + "|")
    for (quality, way), rows in counts.items():
        bpp, *shares = np.mean(rows, axis=0)
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {quality:g} | {way} | {bpp:.3f} | {cells} |")


if __name__ == "__main__":
    with torch.inference_mode():
        main()

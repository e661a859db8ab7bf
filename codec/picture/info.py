"""What the header of a file says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lictor.codec.format import colour as signalling
from lictor.codec.format import overlay
from lictor.codec.format import quality_map as map_form
from lictor.codec.format.elements import Bytes
from lictor.codec.format.picture import ALPHA, COLOUR, EXIF, ICC, LATENTS, MAP, block_count
from lictor.codec.picture import arguments
from lictor.codec.picture import file as files
from lictor.codec.picture.file import File
from lictor.codec.picture.methods import METHODS
from lictor.codec.picture.tiles import Grid
from lictor.codec.runtime import store
from lictor.models.quality import Quality


@dataclass(frozen=True)
class Info:
    """What the header of a file says.

    Attributes:
        format_version: of the file, as codec/format/FORMAT.md counts them.
        model: name of the checkpoint; None if this installation does not know its number, or if no
            network coded any of it.
        model_id: permanent number of a shipped checkpoint, 0 for others.
        weights: start of the SHA-256 of the weights, hexadecimal.
        width: in pixels.
        height: likewise.
        channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
        bit_depth: of a sample, 8 or 16.
        quality: 0…100; of a picture with a quality map, its highest.
        quality_low: its lowest.
        latents: checksum of the decoded latents, hexadecimal.
        tiles: in how many pieces the picture is coded.
        tile_width: of one, in pixels.
        tile_height: likewise.
        bytes: size of the file.
        methods: by which its samples are coded ("network", "overfit", "linear", "lossless"), and in
            how many of these bytes.
        shares: likewise, which share of its blocks of 64x64 pixels each gives, adding up to 1.
        lossless: whether all samples are as they were.
        latent_bytes: of which entropy-coded latents.
        alpha_bytes: of which alpha.
        icc_bytes: of which the ICC profile.
        exif_bytes: of which EXIF.
        map_bytes: of which the quality map.
        colour_bytes: of which colour signalling.
        bpp: bits per pixel, from the size of the file.
        colour: what is said of the colours beside the ICC profile, by name (cicp, intent, gamma,
            chromaticities, mastering, light), and a `name` for people; empty if nothing is.
    """

    format_version: int
    model: str | None
    model_id: int
    weights: str
    width: int
    height: int
    channels: int
    bit_depth: int
    quality: float
    quality_low: float
    latents: str
    tiles: int
    tile_width: int
    tile_height: int
    bytes: int
    methods: dict[str, int]
    shares: dict[str, float]
    lossless: bool
    latent_bytes: int
    alpha_bytes: int
    icc_bytes: int
    exif_bytes: int
    map_bytes: int
    colour_bytes: int
    bpp: float
    colour: dict[str, Any]


def info(data: Bytes) -> Info:
    """Read the header of a file, and that its sections are complete; runs no network.

    Raises:
        FileError: not a file that this release could decode.
    """
    data = arguments.file_bytes(data)
    file = files.parse(data, verify_sections=False)
    h, sizes = file.header, {s.kind: len(s.payload) for s in file.sections}
    methods = [method for kind, method in METHODS.items() if kind in sizes]
    grid = Grid.of_file(h, methods[0].table(file))
    said, shares = file.payload(COLOUR), _shares(file)
    return Info(
        format_version=h.version,
        model=h.model_name or (store.shipped_name(h.model_id) if h.network else None),
        model_id=h.model_id,
        weights=h.weights.hex(),
        width=h.width,
        height=h.height,
        channels=h.channels,
        bit_depth=h.depth,
        quality=float(h.quality),
        quality_low=float(_lowest(file)),
        latents=f"{h.latents:08x}",
        tiles=len(grid),
        tile_width=min(grid.tile_width, h.width),
        tile_height=min(grid.tile_height, h.height),
        bytes=len(data),
        methods={m.name: sum(sizes.get(k, 0) for k in (m.kind, *m.beside)) for m in methods},
        shares=shares,
        lossless=list(shares) == ["lossless"],
        latent_bytes=sizes.get(LATENTS, 0),
        alpha_bytes=sizes.get(ALPHA, 0),
        icc_bytes=sizes.get(ICC, 0),
        exif_bytes=sizes.get(EXIF, 0),
        map_bytes=sizes.get(MAP, 0),
        colour_bytes=len(said),
        bpp=8 * len(data) / (h.width * h.height),
        colour=signalling.unpack(said).as_dict() if said else {},
    )


def _lowest(file: File) -> Quality:
    h = file.header
    if not h.mapped:
        return h.quality
    code = map_form.parse(h, file.payload(MAP))
    return Quality(h.step - code.unit * (code.levels - 1))


def _shares(file: File) -> dict[str, float]:
    """Of the blocks, by the names of the methods; what lies above others hides them."""
    h, shown = file.header, 0
    count = block_count(h)
    found = {}
    for kind, method in reversed(METHODS.items()):
        if kind not in file.coded:
            continue
        mask = overlay.everything(h)
        if kind != LATENTS:
            mask = overlay.parse(h, file.payload(kind), whole=False).mask
        found[method.name] = (mask & ~shown).bit_count() / count
        shown |= mask
    return {name: share for name, share in reversed(found.items()) if share}

"""Damaged files by the thousand: `python hostile.py MODEL FIRST COUNT` decodes damaged files.

Case n is the same in every run. MODEL is fake, or the name of a shipped one. Most cases keep the
checksums right, so that what lies behind them is reached, too. Each must end in a typed error or a
picture of the size that its header says: the right one, if no checksum was mended. Memory is
limited to 1.5 GB above what the process has when it starts. Cases that fail go to standard output
as a line of their number, what happened, and their bytes in hexadecimal.
"""

from __future__ import annotations

import binascii
import importlib.util
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lictor import models
from lictor.codec import CodecError, decode_picture, encode, info
from lictor.codec.format import overlay as overlay_form
from lictor.codec.format import picture as bitstream
from lictor.codec.format import quality_map as map_form
from lictor.codec.format.colour import Signalling
from lictor.codec.format.picture import (
    LATENTS,
    LINEAR,
    LOSSLESS,
    MAP,
    TILES,
    Header,
    Reader,
    Section,
)
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import latent, tiles
from lictor.codec.picture.assemble import file_of
from lictor.codec.picture.methods import METHODS
from lictor.codec.picture.methods.method import Wanted
from lictor.codec.runtime import store
from lictor.models import TaskModel, lossless
from lictor.models.linear import coder
from lictor.models.quality import Quality

Random = np.random.Generator
MEMORY = 1_500_000_000


# ---- the files that are damaged


ROIS = [None, [(10, 5, 20, 20)], np.eye(5), None]
"""Of the pictures, for those that have a quality map."""


def pictures() -> list[Picture]:
    """Gray, RGB, RGBA with metadata, and of 16 bits; the last two are cut into tiles."""
    from skimage import data

    photo = data.astronaut()
    said = Signalling((9, 16, 0, 1), 0, 1000, (31270,) * 8, tuple(range(10)), (4, 5))
    icc, exif = bytes(range(200)) * 3, b"MM\0*" + bytes(60)
    alpha = np.tile(np.arange(130, dtype=np.uint8), (96, 1))
    rgba = np.dstack([photo[100:196, 150:280], alpha])
    wide = photo[200:290, 200:270].astype(np.uint16) * 257
    return [
        Picture(np.ascontiguousarray(photo[100:140, 150:200, :1])),
        Picture(np.ascontiguousarray(photo[100:140, 150:200]), exif=exif),
        Picture(rgba, icc, exif, signalling=said),
        Picture(np.dstack([wide, wide[:, :, 0]]), icc, signalling=Signalling(gamma=45455)),
    ]


def originals(name: str) -> list[bytes]:
    """Those pictures by the network, and of the second what other methods make of all or some."""
    maps = ROIS if models.load(name).takes_maps else [None] * len(ROIS)
    made = [
        encode(p, quality=70, model=name, roi=roi, method="network")
        for p, roi in zip(pictures(), maps, strict=True)
    ]
    if not (coder.available() and lossless.available()) or isinstance(models.load(name), TaskModel):
        return made
    picture = Picture(pictures()[2].pixels[:, :, :3])
    quality, codec = Quality.of(30), store.load(name)
    some = np.array([[True, False, False], [False, True, True]])
    parts = [
        METHODS[LATENTS].encode(Wanted(picture, quality, codec)),
        METHODS[LINEAR].encode(Wanted(picture, quality, blocks=some)),
        METHODS[LOSSLESS].encode(Wanted(picture, quality, blocks=~some)),
    ]
    return [
        *made,
        encode(picture, quality=30, method="linear"),
        encode(pictures()[3], method="lossless"),
        file_of(picture, quality, parts),
    ]


def load(model: str) -> str:
    """Make the model known; returns its name."""
    if model != "fake":
        return model
    path = Path(__file__).with_name("fake.py")
    spec = importlib.util.spec_from_file_location("lictor_fake_model", path)
    assert spec and spec.loader
    fake = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fake)
    models.load, models.find, models.index = fake.load, fake.find, fake.index
    return "fake.pixels"


# ---- kinds of damage to bytes


def flip(data: bytearray, random: Random) -> None:
    for _ in range(random.integers(1, 4)):
        data[random.integers(len(data))] ^= 1 << random.integers(8)


def replace(data: bytearray, random: Random) -> None:
    at, size = random.integers(len(data)), random.integers(1, 9)
    data[at : at + size] = random.bytes(min(size, len(data) - at))


def extreme(data: bytearray, random: Random) -> None:
    at = random.integers(len(data))
    data[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF])


def cut(data: bytearray, random: Random) -> None:
    del data[random.integers(len(data)) :]


def delete(data: bytearray, random: Random) -> None:
    at = random.integers(len(data))
    del data[at : at + random.integers(1, 20)]


def insert(data: bytearray, random: Random) -> None:
    at = random.integers(len(data) + 1)
    data[at:at] = random.bytes(random.integers(1, 20))


def repeat(data: bytearray, random: Random) -> None:
    at = random.integers(len(data))
    data[at:at] = data[at : at + random.integers(1, 200)]


BYTES: list[Callable[[bytearray, Random], None]] = [
    flip,
    replace,
    extreme,
    cut,
    delete,
    insert,
    repeat,
]


def damaged(data: bytes, random: Random) -> bytes:
    result = bytearray(data)
    if result:
        BYTES[random.integers(len(BYTES))](result, random)
    return bytes(result)


# ---- damage behind right checksums


def header_bytes(data: bytes, random: Random) -> bytes:
    """Something else in the header, its check mended."""
    io = Reader(data)
    bitstream.header_syntax(io, Header())
    fields = data[:4] + damaged(data[4 : io.position - 2], random)
    check = binascii.crc_hqx(fields, 0xFFFF).to_bytes(2, "little")
    return fields + check + data[io.position :]


def payload(data: bytes, random: Random) -> bytes:
    """Something else in a section."""
    header, sections = bitstream.read(data)
    section = sections[random.integers(len(sections))]
    section.payload = damaged(bytes(section.payload), random)
    return bitstream._write(header, sections)


def order(data: bytes, random: Random) -> bytes:
    """Sections swapped, dropped, doubled, or under another tag."""
    header, sections = bitstream.read(data)
    one, other = random.integers(len(sections), size=2)
    match random.integers(4):
        case 0:
            sections[one], sections[other] = sections[other], sections[one]
        case 1:
            del sections[one]
        case 2:
            sections.insert(one, sections[other])
        case 3:
            sections[one].kind = int(random.integers(64))
            sections[one].optional = bool(random.integers(2))
    sections = [Section(s.kind, s.payload, s.optional, more=True) for s in sections]
    if sections:
        sections[-1].more = bool(random.integers(20) == 0)
    return bitstream._write(header, sections)


def tile(data: bytes, random: Random) -> bytes:
    """Another stream or other numbers for a tile, in a table that fits them."""
    header, sections = bitstream.read(data)
    table = bitstream.read_table(header, sections)
    if table is None:
        return payload(data, random)
    stream = bitstream.payload(sections, LATENTS)
    streams = [bytes(s) for s in latent.Streams(stream, table, 0).cut()]
    number = int(random.integers(len(streams)))
    streams[number] = damaged(streams[number], random)
    entry = table.tiles[number]
    entry.size, entry.check = len(streams[number]), binascii.crc32(streams[number])
    if random.integers(3) == 0:
        entry.latents = int(random.integers(2**32))
    if random.integers(4) == 0:
        table.width = int(random.integers(1, 33)) * 64
    header.latents = table.checksum
    io = bitstream.Writer()
    try:
        bitstream.table_syntax(io, table, header)
    except ValueError:
        return payload(data, random)
    for section in sections:
        if section.kind == TILES:
            section.payload = bytes(io.data)
        elif section.kind == LATENTS:
            section.payload = b"".join(streams)
    return bitstream._write(header, sections)


def quality_map(data: bytes, random: Random) -> bytes:
    """Another number, or another stream, in a quality map."""
    header, sections = bitstream.read(data)
    map = next((s for s in sections if s.kind == MAP), None)
    if map is None:
        return payload(data, random)
    code = map_form.parse(header, map.payload)
    match random.integers(6):
        case 0:
            code.unit = int(random.integers(1, 401))
        case 1:
            code.levels = int(random.integers(2, 65))
        case 2:
            code.way = int(random.integers(4))
        case 3:
            code.offset += int(random.integers(-2, 3))
        case 4:
            code.logs = [int(log) for log in random.integers(0, 57, random.integers(1, 99))]
        case 5:
            code.stream = damaged(bytes(code.stream), random)
    try:
        map.payload = map_form.write(code, header)
    except ValueError:
        return payload(data, random)
    return bitstream._write(header, sections)


def blocks(data: bytes, random: Random) -> bytes:
    """What a method without a network coded, its table's checks made right."""
    header, sections = bitstream.read(data)
    section = next((s for s in sections if s.kind in (LINEAR, LOSSLESS)), None)
    if section is None:
        return payload(data, random)
    overlay = overlay_form.parse(header, section.payload)
    streams = [bytes(stream) for _, stream in overlay.streams_by_tile(header).values()]
    number = int(random.integers(len(streams)))
    streams[number] = damaged(streams[number], random)
    overlay.table.tiles[number] = overlay_form.entry(
        streams[number], overlay.table.tiles[number].latents
    )
    if random.integers(4) == 0:
        overlay.mask ^= 1 << int(random.integers(bitstream.block_count(header)))
    overlay.streams = b"".join(streams)
    try:
        section.payload = overlay_form.write(overlay, header)
    except ValueError:
        return payload(data, random)
    return bitstream._write(header, sections)


MENDED = [header_bytes, payload, payload, order, tile, tile, quality_map, quality_map, blocks]
MENDED += [blocks, blocks]


def case(originals: list[bytes], number: int) -> tuple[int, bytes, bool]:
    """Which file is damaged, its bytes, and whether its checksums were mended."""
    random = np.random.default_rng([5, number])
    which = int(random.integers(len(originals)))
    if random.integers(3) == 0:
        return which, damaged(originals[which], random), False
    change = MENDED[random.integers(len(MENDED))]
    return which, change(originals[which], random), True


# ---- decoding them


def attempt(data: bytes, whole: np.ndarray | None, random: Random) -> None:
    """Decode in every way; AssertionError or another exception if something is wrong."""
    try:
        size = info(data)
    except CodecError:
        size = None
    try:
        found = decode_picture(data)
    except CodecError:
        pass
    else:
        assert size and found.pixels.shape == (size.height, size.width, size.channels)
        assert whole is None or np.array_equal(found.pixels, whole)
    try:
        found = decode_picture(data, salvage=True)
    except CodecError:
        pass
    else:
        assert whole is None or found.lost or np.array_equal(found.pixels, whole)
    box = 5, 6, *(int(side) for side in random.integers(1, 34, 2))
    try:
        found = decode_picture(data, region=box)
    except CodecError:
        pass
    else:
        part = None if whole is None else whole[6 : 6 + box[3], 5 : 5 + box[2]]
        assert part is None or np.array_equal(found.pixels, part)


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(model: str, first: int, count: int) -> int:
    tiles.SIDE = 64
    torch.set_num_threads(1)
    name = load(model)
    files = originals(name)
    wholes = [decode_picture(data).pixels for data in files]
    limit_memory()
    failures = 0
    for number in range(first, first + count):
        which, data, mended = case(files, number)
        try:
            attempt(data, None if mended else wholes[which], np.random.default_rng(number))
        except Exception:
            failures += 1
            print(number, " ".join(traceback.format_exc().split())[-600:], data.hex(), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))

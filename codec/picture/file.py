"""A file of a picture that is being decoded: parsed, checked, or what is left of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lictor.codec.errors import CorruptFile
from lictor.codec.format import overlay
from lictor.codec.format import picture as bitstream
from lictor.codec.format.elements import Bytes
from lictor.codec.format.picture import LATENTS, Header, Section, Table


@dataclass
class File:
    """Header and sections.

    table: of the network's tiles, if it codes the picture in such.
    salvage: what is damaged is added to `lost`, and no error.
    """

    header: Header
    sections: list[Section]
    table: Table | None = None
    salvage: bool = False
    lost: list[str] = field(default_factory=list)

    def payload(self, kind: int) -> Bytes:
        """Of the section of a kind; empty if there is none."""
        return bitstream.payload(self.sections, kind)

    @property
    def coded(self) -> dict[int, Section]:
        """What the methods coded, by their kinds of section."""
        return {s.kind: s for s in self.sections if s.kind in bitstream.CODED}


def parse(data: Bytes, *, verify_sections: bool = True) -> File:
    """A whole file, all of it checked but what its samples decode to. Raises FileError.

    verify_sections: as for `bitstream.read`. What methods coded may be damaged: see `Section`.
    """
    coded = bitstream.CODED
    header, sections = bitstream.read(data, verify_sections=verify_sections, tolerate=coded)
    table = bitstream.read_table(header, sections) if header.network else None
    overlay.check_cover(header, sections, coded - {LATENTS})
    return File(header, sections, table)


def read(data: Bytes, *, partly: bool = False) -> File:
    """A file to be decoded; partly: only some of its tiles are needed. Raises FileError."""
    file = parse(data)
    for section in file.sections:
        # Each tile has a check of its own, so that a region needs only its own tiles.
        tiled = section.kind != LATENTS or file.table is not None
        if not section.intact and not (tiled and partly):
            way = "; --salvage (salvage=True) decodes what is not" if tiled else ""
            raise CorruptFile(f"the latents are damaged{way}; get another copy of the file")
    return file

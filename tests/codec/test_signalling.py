"""The section of colour signalling: there and back, and what it may not hold."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor.codec.errors import CorruptFile
from lictor.codec.format import colour as signalling
from lictor.codec.format.colour import SRGB_CHROMATICITIES, Signalling

BYTE, INT, LONG = (st.integers(0, 2**bits - 1) for bits in (8, 31, 32))
POSITIVE = st.integers(1, 2**31 - 1)
ANY = st.builds(
    Signalling,
    cicp=st.none() | st.tuples(BYTE, BYTE, st.just(0), st.integers(0, 1)),
    intent=st.none() | st.integers(0, 3),
    gamma=st.none() | st.just(45455) | POSITIVE,
    chromaticities=st.none()
    | st.just(SRGB_CHROMATICITIES)
    | st.tuples(POSITIVE, POSITIVE, *[INT] * 6),
    mastering=st.none() | st.tuples(*[st.integers(0, 65535)] * 8, LONG, LONG),
    light=st.none() | st.tuples(LONG, LONG),
)
ALL = Signalling(
    cicp=(9, 16, 0, 1),
    intent=1,
    gamma=45455,
    chromaticities=(31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600),
    mastering=(35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 10_000_000, 50),
    light=(10_000_000, 2_000_000),
)


@given(ANY.filter(bool))
def test_there_and_back(said: Signalling):
    assert signalling.unpack(signalling.pack(said)) == said


def test_the_bytes_are_those_of_the_specification():
    assert signalling.pack(Signalling(cicp=(9, 16, 0, 1))).hex() == "01091001"
    usual = Signalling(intent=0, gamma=45455, chromaticities=SRGB_CHROMATICITIES)
    assert signalling.pack(usual).hex() == "0e000000"
    assert signalling.pack(ALL).hex() == (
        "3f091001" + "01" + "00" + "a6f401" + "848102" + "90a904" + "90e401" + "e88401" + "d4ee04"
        "ac66" + "f823" + "488a08393421aa9b9619fc08133d4240" + "8096980032000000" + "80969800"
        "80841e00"
    )
    assert signalling.unpack(signalling.pack(ALL)) == ALL


def test_a_payload_cut_at_every_byte_or_longer():
    data = signalling.pack(ALL)
    for size in range(len(data)):
        with pytest.raises(CorruptFile):
            signalling.unpack(data[:size])
    with pytest.raises(CorruptFile, match="follow"):
        signalling.unpack(data + b"\0")


@pytest.mark.parametrize(
    "payload",
    [
        "00",  # nothing at all
        "40 00",  # reserved bits
        "80",
        "01 09 10 02",  # neither full range nor narrow
        "02 04",  # no such intent
        "04 ffffffff0f",  # gamma above 2^31 - 1
        "08 01 00 01 01 01 01 01 01",  # white without y
        "08 8000 01 01 01 01 01 01 01",  # a varint in too many bytes
    ],
)
def test_values_that_cannot_be(payload: str):
    with pytest.raises(CorruptFile):
        signalling.unpack(bytes.fromhex(payload))


@pytest.mark.parametrize(
    "wrong",
    [
        {"cicp": (9, 16, 9, 1)},
        {"cicp": (9, 16, 0, 2)},
        {"cicp": (9, 16, 0)},
        {"cicp": (9, 256, 0, 1)},
        {"cicp": "9/16"},
        {"intent": 4},
        {"intent": -1},
        {"gamma": 0},
        {"gamma": 0.45},
        {"gamma": 2**31},
        {"chromaticities": (0,) * 8},
        {"chromaticities": (31270, 32900)},
        {"mastering": (65536, *[0] * 9)},
        {"light": (2**32, 0)},
    ],
)
def test_what_is_no_signalling(wrong: dict):
    with pytest.raises(ValueError):
        Signalling(**wrong)


@pytest.mark.parametrize(
    "said, name",
    [
        (Signalling(cicp=(9, 16, 0, 1)), "BT.2020, PQ"),
        (Signalling(cicp=(9, 18, 0, 0)), "BT.2020, HLG, narrow range"),
        (Signalling(cicp=(12, 13, 0, 1), intent=0), "Display P3"),
        (Signalling(cicp=(2, 99, 0, 1)), "unspecified, no. 99"),
        (Signalling(intent=2, gamma=100000), "sRGB"),
        (Signalling(gamma=55556), "gamma 0.55556"),
        (Signalling(gamma=45455, chromaticities=SRGB_CHROMATICITIES), "gamma 0.45455"),
        (replace(ALL, cicp=None, intent=None), "gamma 0.45455, primaries of its own"),
        (Signalling(light=(1, 1)), ""),
    ],
)
def test_names(said: Signalling, name: str):
    assert said.name == name
    given = {part: value for part, value in asdict(said).items() if value is not None}
    assert said.as_dict() == {"name": name, **given}


def test_nothing_said():
    assert not signalling.NONE and signalling.NONE.as_dict() == {}
    assert Signalling(intent=0), "perceptual is an intent"

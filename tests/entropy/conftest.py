import pytest

from lictor.entropy import Tables, paths

BACKENDS = paths()  # whatever this machine can run


@pytest.fixture(params=BACKENDS)
def backend(request, monkeypatch):
    """The test runs once with each implementation."""
    monkeypatch.setenv("LICTOR_CODER", request.param)
    return request.param


@pytest.fixture
def use(monkeypatch):
    """use("scalar") makes the coders that are built afterwards take that path."""
    return lambda name: monkeypatch.setenv("LICTOR_CODER", name)


@pytest.fixture(scope="session")
def mixed():
    """Tables of every kind: 0 plain, 1 without escape, 2 certain, 3 shifted, 4 likely escape."""
    return Tables.from_frequencies(
        [
            [1, 100, 16183, 99, 1],
            [8192, 8192, 0],
            [16384, 0],
            [4096, 4096, 4096, 4095, 1],
            [1, 16383],
        ],
        offsets=[-2, 0, 7, -2, 0],
        shifts=[0, 0, 0, 5, 16],
    )

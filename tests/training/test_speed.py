"""The probe before a training: the faster way is taken, and a compiler that fails is no end."""

import itertools

import pytest
import torch
from torch import nn

from lictor.training import speed


class Clock:
    """What the probe reads, so that no other process has a say in it."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        self.now += 1e-6
        return self.now


class Slow(nn.Module):
    """Takes its time, unless compiled."""

    def __init__(self, clock, milliseconds):
        super().__init__()
        self.clock, self.seconds = clock, milliseconds / 1e3

    def forward(self, x):
        self.clock.now += self.seconds
        return x


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def probe(monkeypatch, clock):
    """Probe with a stand-in for torch.compile; returns the model chosen, and what was said."""

    def run(compiled):
        monkeypatch.setattr(torch, "compile", compiled)
        monkeypatch.setattr(speed, "time", clock)
        said, model = [], Slow(clock, 20)
        batches = itertools.repeat(torch.ones(100, 100))
        chosen = speed.fastest(
            model, lambda m, x: m(x), batches, 8, torch.device("cpu"), said.append
        )
        return model, chosen, said

    return run


def test_the_faster_one_is_taken(probe, clock):
    quick = Slow(clock, 1)
    model, chosen, said = probe(lambda model: quick)
    assert chosen is quick
    assert [line.partition(":")[0] for line in said] == ["plain", "compiled"]
    assert all("crops/s" in line and "bound by" in line for line in said)
    model, chosen, said = probe(lambda model: Slow(clock, 60))
    assert chosen is model


@pytest.mark.parametrize("late", [False, True])
def test_a_compiler_that_fails_leaves_the_plain_way(probe, late):
    def fail(*_):
        raise RuntimeError("no such backend\nand a page of reasons")

    model, chosen, said = probe((lambda model: fail) if late else fail)
    assert chosen is model
    assert said[-1] == "compiled: failed (RuntimeError: no such backend); done without"


def test_what_bounds_a_step():
    assert speed.Pace(1.0, 0.1, 0.5).bound == "crops"
    assert speed.Pace(1.0, 0.95, 0.01).bound == "the host"
    assert speed.Pace(1.0, 0.3, 0.01).bound == "the device"

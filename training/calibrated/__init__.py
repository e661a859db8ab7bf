"""Weights with loss, by what data say of a network: `calibrate`, `compress`."""

from lictor.training.calibrated.compress import compress
from lictor.training.calibrated.moments import calibrate

__all__ = ["calibrate", "compress"]

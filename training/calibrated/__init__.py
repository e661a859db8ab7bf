"""Weights with loss, by what data say of a network: `calibrate`, `compress`, `reach`."""

from lictor.training.calibrated.answers import disagreement, divergence
from lictor.training.calibrated.compress import compress
from lictor.training.calibrated.moments import calibrate
from lictor.training.calibrated.promises import reach
from lictor.training.calibrated.steps import measured_steps

__all__ = ["calibrate", "compress", "disagreement", "divergence", "measured_steps", "reach"]

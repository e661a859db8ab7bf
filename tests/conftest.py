"""What holds for all tests."""

from lictor.codec.threads import wait_politely

wait_politely()  # before any test imports torch

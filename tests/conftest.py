"""What holds for all tests."""

from lictor.codec.threads import wait_briefly

wait_briefly()  # before any test imports torch

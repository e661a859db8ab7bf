"""What holds for all tests."""

import signal

from lictor.codec.runtime.threads import wait_briefly

wait_briefly()  # before any test imports torch

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and what tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""What train.py is built from: settings, losses, processes, the state of a run, watching, export.

config.py imports no torch, so that settings can be listed at once.
"""

"""What train.py is built from: settings, losses, processes, the state of a run, watching, export.

Nothing here imports torch before it is used.
"""

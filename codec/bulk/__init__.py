"""Pictures by the million: from shards to shards, each committed once, on one machine or many.

sources.py finds and reads what is there, plan.py shares it out into parts, part.py does one, and
shards.py and manifest.py write what came of it; here.py and on_ray.py have the parts done, run.py
the whole. storage.py is the disk, or an object store.
"""

ITEMS, SIZE = 1000, 256 * 2**20
"""Inputs and bytes of a part at most."""
HERE = "here"
"""The place of a run that needs no cluster."""

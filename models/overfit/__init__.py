"""Pictures by networks of their own: a pyramid of grids and what turns it into samples, all coded.

sizes.py has the shapes, twin.py the model in floating point.
"""

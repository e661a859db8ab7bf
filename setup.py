"""Builds the C extensions and places train.py; all else but the licence is in pyproject.toml.

`optional=True` lets the installation go on without a C compiler: lictor.entropy then
runs its pure-Python reference, which gives the same bytes, slowly; there is no lossless
coding of photos.
"""

import os

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

FLAGS = [] if os.name == "nt" else ["-std=c11", "-O3", "-g0", "-Wall", "-Wextra"]


class BuildWithScript(build_py):
    """Puts train.py, a script of the repository, beside the packages: `lictor train` runs it."""

    def build_packages(self) -> None:
        """Copy the packages, and the script."""
        super().build_packages()
        self.build_module("train", "train.py", "lictor")


setup(
    cmdclass={"build_py": BuildWithScript},
    license="Apache-2.0",
    ext_modules=[
        Extension(
            "lictor.entropy._rans",
            sources=["entropy/_rans.c"],
            depends=["entropy/rans.h", "entropy/rans_x86.h", "entropy/rans_neon.h"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=FLAGS,
            py_limited_api=True,
            optional=True,
        ),
        Extension(
            "lictor.models.lossless._photo",
            sources=["models/lossless/_photo.c"],
            depends=[
                "entropy/adaptive.h",
                "models/lossless/photo.h",
                "models/lossless/photo_planes.h",
                "models/lossless/photo_spread.h",
                "models/lossless/photo_tables.h",
            ],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=FLAGS,
            py_limited_api=True,
            optional=True,
        ),
    ],
)

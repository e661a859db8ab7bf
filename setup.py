"""Builds the C extension; everything else but the licence is in pyproject.toml.

`optional=True` lets the installation go on without a C compiler: lictor.entropy then
runs its pure-Python reference, which gives the same bytes, slowly.
"""

import os

from setuptools import Extension, setup

FLAGS = [] if os.name == "nt" else ["-std=c11", "-O3", "-g0", "-Wall", "-Wextra"]

setup(
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
        )
    ],
)

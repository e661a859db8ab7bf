"""Builds the C extensions and places train.py; all else but the licence is in pyproject.toml.

`optional=True` lets the installation go on without a C compiler: lictor.entropy then
runs its pure-Python reference, which gives the same bytes, slowly; there is no lossless
coding of pictures.
"""

import os
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

FLAGS = [] if os.name == "nt" else ["-std=c11", "-O3", "-g0", "-Wall", "-Wextra"]


class BuildWithScript(build_py):
    """Puts train.py, a script of the repository, beside the packages: `lictor train` runs it."""

    def build_packages(self) -> None:
        """Copy the packages, and the script."""
        super().build_packages()
        self.build_module("train", "train.py", "lictor")


def extension(name: str, folder: str, *headers: str, flags: tuple[str, ...] = ()) -> Extension:
    """The module `name` of one C file, for the stable ABI. flags: more, for GCC and clang."""
    return Extension(
        f"lictor.{folder.replace('/', '.')}.{name}",
        sources=[f"{folder}/{name}.c"],
        depends=[*headers],
        define_macros=[("Py_LIMITED_API", "0x030B0000")],
        extra_compile_args=[*FLAGS, *flags] if FLAGS else [],
        libraries=[] if os.name == "nt" else ["m"],
        py_limited_api=True,
        optional=True,
    )


# A product and the sum it goes into as one operation: twice as fast, and exact where it must be.
FUSED = ("-ffp-contract=fast",)
LINEAR = ("entropy/adaptive.h", *sorted(glob("models/linear/*.h")))
FIT = tuple(sorted(glob("models/overfit/fit*.h")))
LOSSLESS = ("entropy/adaptive.h", *sorted(glob("models/lossless/*.h")))
OVERFIT = tuple(
    f"models/overfit/{name}.h" for name in ("context", "laplace", "network", "paths", "synthesis")
)

setup(
    cmdclass={"build_py": BuildWithScript},
    license="Apache-2.0",
    ext_modules=[
        extension("_rans", "entropy", *sorted(glob("entropy/rans*.h"))),
        extension("_photo", "models/lossless", *LOSSLESS),
        extension("_screen", "models/lossless", *LOSSLESS),
        extension("_linear", "models/linear", *LINEAR),
        extension("_fit", "models/overfit", *FIT, flags=("-ffp-contract=fast", "-pthread")),
        extension("_overfit", "models/overfit", *OVERFIT),
        extension("_field", "codec/arrays", *sorted(glob("codec/arrays/*.h"))),
        extension("_wiener", "codec/picture", *sorted(glob("codec/picture/*.h"))),
        extension("_cabac", "codec/weights", "entropy/adaptive.h", "codec/weights/cabac.h"),
        extension("_weights", "codec/weights", *sorted(glob("codec/weights/*.h"))),
        extension("_kernels", "models/light", *sorted(glob("models/light/*.h")), flags=FUSED),
    ],
)

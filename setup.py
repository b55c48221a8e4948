"""What pyproject.toml cannot say: the innermost loops are compiled."""

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = (
    "best", "calibrating", "click", "commits", "covisits", "drawing", "embedding", "gather", "greedy", "masks",
    "neighbours", "ranks", "records", "sifting", "tastes", "unite",
)  # fmt: skip
# Sums may be taken in any order, which is what lets them be vectorised; nothing else of fast-math.
FLAGS = ["-O3", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math"]

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"online_models.kernels.{name}",
                [f"online_models/kernels/{name}.pyx"],
                extra_compile_args=FLAGS,
            )
            for name in KERNELS
        ],
        language_level=3,
        compiler_directives={
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
    )
)

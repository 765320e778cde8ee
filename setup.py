"""Builds the compiled kernels into the wheel; the rest is in pyproject.toml. `make kernels` serves a checkout."""

import importlib.util
import logging
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

BUILD_SCRIPT = Path(__file__).parent / "cuda_kernels" / "build.py"


class BuildWithKernels(build_py):
    """Copies the modules, then compiles the library beside them, unless there is no compiler."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        spec = importlib.util.spec_from_file_location("build_kernels", BUILD_SCRIPT)
        kernels = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(kernels)
        try:
            kernels.build(Path(self.build_lib) / "trigpoint" / "kernels" / "_lib" / kernels.LIBRARY.name)
        except kernels.NoCompilerError as error:
            logging.getLogger(__name__).warning("the kernels are left out, matching will be slow: %s", error)


class PlatformDistribution(Distribution):
    """A wheel for one platform: it holds a shared library."""

    def has_ext_modules(self) -> bool:
        return True


setup(cmdclass={"build_py": BuildWithKernels}, distclass=PlatformDistribution)

"""The build script where there is no compiler."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "cuda_kernels" / "build.py"


def build(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments, str(folder / "library.so")]
    return subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True, check=False)


def test_without_a_compiler_the_build_says_what_to_install(tmp_path: Path) -> None:
    done = build(tmp_path)
    assert done.returncode == 1
    assert "install g++" in done.stderr
    assert not (tmp_path / "library.so").exists()


def test_a_set_up_goes_on_without_a_compiler(tmp_path: Path) -> None:
    done = build(tmp_path, "--if-possible")
    assert done.returncode == 0
    assert "install g++" in done.stderr

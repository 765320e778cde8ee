"""Which parts of the package may import which, and what importing them may not do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trigpoint

PACKAGE = Path(trigpoint.__file__).parent
LAYERS = [
    {"__init__"},
    {"code_versions", "errors", "types", "log", "processes"},
    {"settings"},
    {"geometry"},
    {"storage", "kernels"},
    {"datasets", "networks", "matching", "retrieval", "rendering"},
    {"methods"},
    {"mapping", "localization", "training", "export"},
    {"evaluation"},
    {"report"},
    {"doctor"},
    {"config"},
    {"planning"},
    {"cli"},
    {"config_schema"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


def imported_modules(path: Path) -> list[str]:
    """Dotted names of everything a file imports, read without running it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            if node.module == "trigpoint":
                names += [f"trigpoint.{alias.name}" for alias in node.names]
    return names


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    targets = {name.split(".")[1] for name in imported_modules(path) if name.startswith("trigpoint.")}
    targets -= {"__version__"}
    for target in targets - {part}:
        assert LEVEL[target] < LEVEL[part], f"{path} imports trigpoint.{target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_snakemake_is_never_imported(path: Path) -> None:
    assert not [name for name in imported_modules(path) if name.split(".")[0] == "snakemake"]


def test_the_command_line_and_the_configuration_load_nothing_heavy() -> None:
    heavy = {"torch", "pycolmap", "cv2", "kornia"}
    code = f"import sys, trigpoint.cli, trigpoint.config; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_module_imports_without_a_warning() -> None:
    names = [".".join(["trigpoint", *path.relative_to(PACKAGE).with_suffix("").parts]) for path in MODULES]
    names = sorted(name.removesuffix(".__init__") for name in names)
    code = "import importlib, warnings\n" + "\n".join(f"importlib.import_module({name!r})" for name in names)
    # Third-party packages warn about themselves: only warnings that name this package are errors.
    done = subprocess.run(
        [sys.executable, "-W", "error:::trigpoint", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

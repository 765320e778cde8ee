"""Descriptors are compared by `trigpoint.kernels` alone: seen in what runs, and in what is written."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import trigpoint
from trigpoint.kernels import usage
from trigpoint.matching.base import MATCHERS, create_matcher
from trigpoint.methods.base import METHODS, create_method
from trigpoint.types import Features, Image

PACKAGE = Path(trigpoint.__file__).parent
PRODUCTS = {"matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "tensordot", "dot", "vdot", "inner", "cdist"}
PRODUCTS |= {"conv1d", "conv2d", "conv3d", "correlate", "correlate2d", "matchTemplate", "BFMatcher", "knnMatch"}

# Matchers that compare descriptors elsewhere, and where.
ELSEWHERE = {"colmap_sift": "inside COLMAP, match for match its own", "lightglue": "in the last layer of its network"}
# Products in matching/ and methods/ that compare no descriptors: function -> of what.
ALLOWED = {
    "matching/pair_lists.py pose_pairs": "viewing directions of cameras",
    "matching/pair_lists.py covisible_pairs": "which images see which points, sparse",
    "matching/colmap_sift.py _scored": "the ends of matches that COLMAP found",
    "matching/gcm/plane.py": "corners of an image",
    "matching/pump/merging.py": "coordinates and 2x2 matrices",
    "matching/pump/agreement.py": "row numbers",
    "methods/pump_estimate.py products_rate": "ones, to learn how fast the machine multiplies",
}


def test_matchers_ask_the_kernels() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    features = Features(rng.random((40, 2), dtype=np.float32), rows, np.ones(40, np.float32), (10, 10))
    assert ELSEWHERE.keys() <= MATCHERS.keys()
    for name in MATCHERS.keys() - ELSEWHERE.keys():
        before = usage.answers()
        assert len(create_matcher(name, {}).match(features, features)) == 40
        assert usage.backends_since(before), f"matcher {name} found matches without trigpoint.kernels"


def settings_of(name: str, request: pytest.FixtureRequest) -> dict[str, object]:
    """Of a pair method, small; a method without an entry here fails its test."""
    file_of = request.getfixturevalue
    match name:
        case "sift_pairs":
            file_of("pair_method")
            return {}
        case "gcm":
            vgg19 = str(file_of("filled_vgg19"))
            return {"weights": vgg19, "fine_model": "VGG19", "fine_weights_path": vgg19}
        case "ncnet" | "patch2pix":
            return {"weights": str(file_of("still_patch2pix"))}
        case "pump":
            return {"desc": str(file_of("filled_pump")), "resize": 64}
    raise KeyError(name)


@pytest.mark.parametrize(
    "name", ["sift_pairs", *(name for name, entry in METHODS.items() if entry.kind == "pair" and not entry.package)]
)
def test_pair_methods_ask_the_kernels(name: str, request: pytest.FixtureRequest) -> None:
    pixels = np.kron(np.random.default_rng(0).random((24, 32, 3)), np.ones((4, 4, 1)))
    images = [
        Image(f"{shift}.png", (pixels[shift : 80 + shift, :100] * 255).astype(np.uint8), (100, 80), str(shift) * 64)
        for shift in (0, 3)
    ]
    method = create_method(name, settings_of(name, request))
    before = usage.answers()
    assert len(method.match_images(*images)) > 0
    assert usage.backends_since(before), f"{name} found correspondences without trigpoint.kernels"


def products(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(function, line) of every product of matrices in a module's source."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in ast.walk(tree):
        is_operator = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult)
        called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        if is_operator or called in PRODUCTS:
            around = [item for item in functions if item.lineno <= node.lineno <= (item.end_lineno or 0)]
            yield (max(around, key=lambda item: item.lineno).name if around else "", node.lineno)


def test_products_are_seen_in_whatever_form() -> None:
    source = "def f(a, b):\n  def g():\n    return a @ b.T\n  a @= b\n  return torch.einsum('ij,kj', a, b), mm(a, b)\n"
    assert sorted(products(ast.parse(source))) == [("f", 4), ("f", 5), ("f", 5), ("g", 3)]


def test_matching_and_methods_hold_no_product_of_their_own() -> None:
    found = {}
    for part in ("matching", "methods"):
        for path in sorted((PACKAGE / part).rglob("*.py")):
            name = path.relative_to(PACKAGE).as_posix()
            for function, line in products(ast.parse(path.read_text())):
                found[f"{name}:{line}"] = {name, f"{name} {function}"}
    unknown = [place for place, names in found.items() if not names & ALLOWED.keys()]
    assert unknown == [], "compare descriptors through trigpoint.kernels, or say above what is multiplied"

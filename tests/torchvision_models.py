"""torchvision's models, to compare ours with; the package is no part of trigpoint.

A wheel of torchvision beside another build of torch (the CPU one, say) has operators that cannot be loaded and then
refuses to be imported; no model here uses them. Declaring the two that are asked for suffices.
"""

import importlib
import sys
from types import ModuleType

import pytest
import torch


def torchvision_models() -> ModuleType:
    """`torchvision.models`; the test is skipped where the package is not installed."""
    try:
        return importlib.import_module("torchvision.models")
    except ImportError:
        pytest.skip("torchvision is not installed")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    declared = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        declared.define(f"{operator}() -> ()")
    _KEPT.append(declared)
    return importlib.import_module("torchvision.models")


_KEPT: list[torch.library.Library] = []  # what is declared is gone with the object

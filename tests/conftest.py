"""Fixtures that several tests share."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("TRIGPOINT_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Goldens and photographs beside the repository; a test that needs them is skipped where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("the golden arrays and photographs are not beside this checkout")
    return SHARED

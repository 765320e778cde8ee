"""Submission lines copied from a model."""

from pathlib import Path

import pytest

from trigpoint.errors import StorageError
from trigpoint.export.submission import submission_of_model

MODEL = """# Image list
1 1 0 0 0 0.10 2 3e-5 7 query/night/a b.jpg
1 2 -1
2 1 0 0 0 0 0 0 7 db/1.jpg

3 0.5 0.5 0.5 0.5 0 0 1.000 8 query/day/c.jpg

"""


def test_numbers_stay_as_printed_and_points_are_skipped(tmp_path: Path) -> None:
    model = tmp_path / "images.txt"
    model.write_text(MODEL)
    names = ["query/day/c.jpg", "query/night/a b.jpg", "query/day/absent.jpg"]
    assert submission_of_model(model, names) == "a b.jpg 1 0 0 0 0.10 2 3e-5\nc.jpg 0.5 0.5 0.5 0.5 0 0 1.000\n"
    assert submission_of_model(model, []) == ""


def test_what_is_no_model_or_ambiguous_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "images.txt"
    model.write_text("1 1 0 0 0\n\n")
    with pytest.raises(StorageError, match="image 1: expected"):
        submission_of_model(model, ["x"])
    model.write_text("1 1 0 0 0 0 0 0 7 a/x.jpg\n\n2 1 0 0 0 0 0 0 7 b/x.jpg\n\n")
    with pytest.raises(StorageError, match=r"two images are called 'x\.jpg'"):
        submission_of_model(model, ["a/x.jpg", "b/x.jpg"])

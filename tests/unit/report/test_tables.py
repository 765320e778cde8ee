"""How numbers are written, and which are marked."""

from trigpoint.report.tables import ABSENT, Column, published_rows, run_rows, used_columns

COLUMNS = (
    Column("registered", "registered", best="most", of="images"),
    Column("auc/5", "AUC", 1, "most"),
    Column("error", "error", 3, "least"),
)
VALUES = {
    "a": {"registered": 1234, "images": 1234, "auc": {"5": 50.04}, "error": 0.5},
    "b": {"registered": 9, "images": 1234, "auc": {"5": 50.01}},
}
COLORS = {"a": "#000", "b": "#fff"}


def test_cells_hold_the_text_the_path_and_the_marks():
    first, second = run_rows(COLUMNS, VALUES, "mapping", COLORS)
    assert first.cells[0].text == "1,234 / 1,234"
    assert first.cells[0].marks == "best"
    assert second.cells[0].marks == "short"
    assert first.cells[1].path == "runs/a/mapping/auc/5"
    assert second.cells[2].text == ABSENT
    assert second.cells[2].path == ""


def test_numbers_that_look_equal_are_not_told_apart():
    first, second = run_rows(COLUMNS, VALUES, "mapping", COLORS)
    assert (first.cells[1].marks, second.cells[1].marks) == ("", "")


def test_columns_without_numbers_are_left_out():
    assert [column.key for column in used_columns(COLUMNS, [VALUES["b"]])] == ["registered", "auc/5"]


def test_published_rows_name_their_source():
    entries = [{"method": "SIFT", "source": "paper", "registered": 11}, {"method": "other", "source": "s", "x": 1}]
    (row,) = published_rows(COLUMNS, entries)
    assert (row.name, row.source, row.cells[0].text, row.cells[1].text) == ("SIFT", "paper", "11", ABSENT)
    nested = [{"method": "m", "source": "s", "localization": {"day": {"registered": 3}}}]
    assert published_rows(COLUMNS, nested, "localization/day")[0].cells[0].text == "3"
    assert published_rows(COLUMNS, nested, "localization/night") == []

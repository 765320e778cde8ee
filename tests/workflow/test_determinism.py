"""`deterministic: true`: two runs from nothing give equal bytes."""

import sqlite3
from pathlib import Path


def dump(path: Path) -> list[tuple]:
    """All rows of a database, sorted; opened so that reading changes nothing."""
    connection = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = [(table, *row) for table in tables for row in connection.execute(f'SELECT * FROM "{table}"')]
    connection.close()
    return sorted(rows, key=repr)


def test_two_runs_are_equal(workspace, finished) -> None:
    workspace.run("results/my_photos")
    first, second = (space.path / "work/my_photos/sift" for space in (finished, workspace))
    names = ["features/1-of-1.h5", "matches.h5", *(f"model/{path.name}" for path in first.glob("model/*.bin"))]
    assert len(names) >= 5
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert dump(first / "database.db") == dump(second / "database.db")
    metrics = "results/my_photos/metrics.json"
    assert (finished.path / metrics).read_bytes() == (workspace.path / metrics).read_bytes()

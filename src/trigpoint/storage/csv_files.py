"""Tables as CSV files that appear whole or not at all."""

import csv
import io
import os
from collections.abc import Sequence
from typing import Any

from trigpoint.storage.atomic import atomic_path


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """A head of all keys, in the order they first appear, and a line for each row; absent values are empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def write_csv(output: str | os.PathLike[str], rows: Sequence[dict[str, Any]]) -> None:
    """Write `csv_text` of the rows."""
    with atomic_path(output) as partial:
        partial.write_text(csv_text(rows), encoding="utf-8")

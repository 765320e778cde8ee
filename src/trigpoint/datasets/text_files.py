"""Lines of small text files from outside, with errors that name file and line."""

from collections.abc import Iterator
from pathlib import Path

from trigpoint.errors import DataError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line without outer blanks) of all lines that are not empty.

    Raises:
        DataError: the file is missing, not readable or not text in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8 (byte {error.start}); convert it or fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def fail(path: Path, number: int, problem: str) -> DataError:
    """The error to raise about a line."""
    return DataError(f"{path}, line {number}: {problem}")

"""Pair lists: text, one `name0 name1` a line."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from trigpoint.errors import StorageError
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.names import quote_name, split_words

Pair = tuple[str, str]


def read_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    """The pairs of a list in the file's order; empty lines and lines that start with `#` are skipped.

    Raises:
        StorageError: the file is missing, or a line does not hold two names.
    """
    return [pair for _, pair in numbered_pairs(path)]


def numbered_pairs(path: str | os.PathLike[str]) -> Iterator[tuple[int, Pair]]:
    """(line number from 1, pair) of each pair of a list; errors as `read_pairs`."""
    for number, words in text_lines(path, "`trigpoint list-pairs` writes it"):
        if len(words) != 2:
            raise StorageError(
                f"{path}:{number}: expected two image names, found {len(words)}; a name with blanks stands in quotes"
            )
        yield number, (words[0], words[1])


def write_pairs(output: str | os.PathLike[str], pairs: Iterable[Pair], comment: str = "") -> None:
    """Write a pair list in the order given; each line of the comment is put behind `# `.

    Names that hold blanks, quotes or control characters are written as JSON strings and read back the same.
    """
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [f"{quote_name(name0)} {quote_name(name1)}" for name0, name1 in pairs]
    with atomic_path(output) as partial:
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def text_lines(path: str | os.PathLike[str], cure: str) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, words) of the lines of a text file that are neither empty nor a comment.

    Raises:
        StorageError: the file is missing (the message ends with `cure`), not UTF-8, or has a broken quoted name.
    """
    number = 0
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and not line.lstrip().startswith("#"):
                    yield number, split_words(line)
    except FileNotFoundError as error:
        raise StorageError(f"{path}: no such file; {cure}") from error
    except ValueError as error:
        raise StorageError(f"{path}:{number}: {error}; expected UTF-8 text, names with blanks in quotes") from error

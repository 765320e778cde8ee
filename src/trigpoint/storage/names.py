"""Image names as names of one HDF5 group, and as words of a text line; both ways back."""

import json
import re

# A group's name must not hold "/" or NUL, nor be "." or ".."; "%" starts an escape; surrogates are no UTF-8.
_UNSAFE = re.compile("[%/\x00\ud800-\udfff]")
_ESCAPES = re.compile("(?:%[0-9A-F]{2})+")
_WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
EMPTY = "%"  # no other name gives a lone percent sign


def escape_name(name: str) -> str:
    """A name for one HDF5 group, `/` and everything else that HDF5 gives a meaning as `%XX` of its UTF-8 bytes."""
    if not name:
        return EMPTY
    if name in (".", ".."):
        return name.replace(".", "%2E")
    return _UNSAFE.sub(lambda match: _percent(match[0]), name)


def unescape_name(escaped: str) -> str:
    """The name that `escape_name` was given."""
    if escaped == EMPTY:
        return ""
    return _ESCAPES.sub(
        lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogatepass"), escaped
    )


def quote_name(name: str) -> str:
    """A name as one word of a text line: as it is where that is unambiguous, else as a JSON string."""
    plain = bool(name) and name.isprintable() and not re.search(r"\s", name) and name[0] not in '"#'
    if plain:
        return name
    return json.dumps(name, ensure_ascii=not name.isprintable())


def split_words(line: str) -> list[str]:
    """The words of a line; quoted ones are unquoted.

    Raises:
        ValueError: a quoted word is no JSON string.
    """
    return [json.loads(word) if word.startswith('"') else word for word in _WORDS.findall(line)]


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))

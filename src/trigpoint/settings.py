"""Settings dataclasses from what a configuration says: closed sets of keys, errors that name the nearest one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from trigpoint.errors import SettingsError


def nearest(name: str, known: list[str]) -> str:
    """`; known: a, b; did you mean 'a'?` for error messages."""
    close = get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"; known: {', '.join(sorted(known))}{hint}"


def make_settings(settings_class: type, values: Mapping[str, Any], owner: str) -> Any:
    """A settings dataclass from a mapping; unknown keys are an error that lists the known ones."""
    assert is_dataclass(settings_class)
    known = [item.name for item in fields(settings_class)]
    for key in values:
        if key not in known:
            raise SettingsError(f"{owner}: unknown setting '{key}'{nearest(key, known)}")
    try:
        return settings_class(**values)
    except TypeError as error:
        raise SettingsError(f"{owner}: {error}") from error


def settings_json(settings: Any) -> str:
    """Settings as sorted JSON, stored with every output."""
    return json.dumps(asdict(settings), sort_keys=True)


def check_choice(owner: str, name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the choices."""
    if value not in choices:
        raise SettingsError(f"{owner}: {name} must be one of {', '.join(choices)}, got {value!r}")


def check_number(owner: str, name: str, value: object, minimum: float, maximum: float = float("inf")) -> None:
    """Refuse a value that is no number of the closed range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
        upper = f" and at most {maximum:g}" if maximum != float("inf") else ""
        raise SettingsError(f"{owner}: {name} must be a number, at least {minimum:g}{upper}, got {value!r}")


def check_flag(owner: str, name: str, value: object, *, optional: bool = False) -> None:
    """Refuse a value that is neither true nor false (nor null, if that is allowed)."""
    if not isinstance(value, bool) and not (optional and value is None):
        raise SettingsError(f"{owner}: {name} must be true or false{' or null' if optional else ''}, got {value!r}")

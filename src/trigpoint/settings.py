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

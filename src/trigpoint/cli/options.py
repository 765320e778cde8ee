"""Option types that several subcommands share."""

import argparse
import dataclasses
import json
from typing import Any

from trigpoint.methods.base import make_settings

# What every rule passes, whether or not a stage has a use for it.
COMMON_SETTINGS = ("seed", "code_version", "deterministic")


def json_object(text: str) -> dict[str, Any]:
    """A JSON object given on the command line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {type(value).__name__}")
    return value


def stage_settings(values: dict[str, Any], settings_class: type, owner: str) -> Any:
    """A stage's settings dataclass; of the settings that every rule passes it gets those it has a field for.

    Raises:
        SettingsError: an unknown key or an impossible value.
    """
    fields = {item.name for item in dataclasses.fields(settings_class)}
    own = {key: value for key, value in values.items() if key in fields or key not in COMMON_SETTINGS}
    return make_settings(settings_class, own, owner)

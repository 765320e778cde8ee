"""The JSON schema of config.yaml, from the settings classes: `python -m trigpoint.config_schema FILE` writes it."""

import importlib
import inspect
import re
import sys
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from trigpoint.config import DATASET_ID
from trigpoint.datasets.base import LAYOUTS
from trigpoint.evaluation.pair_benchmarks import PAIR_BENCHMARKS
from trigpoint.matching.base import MATCHERS
from trigpoint.methods.base import METHODS

STAGE_CLASSES = {
    "merging": "trigpoint.matching.shared_keypoints:MergeSettings",
    "import": "trigpoint.mapping.settings:ImportSettings",
    "verification": "trigpoint.mapping.settings:VerificationSettings",
    "mapping": "trigpoint.mapping.settings:MappingSettings",
    "localization": "trigpoint.localization.settings:LocalizationSettings",
    "dense_localization": "trigpoint.localization.dense_settings:DenseLocalizationSettings",
    "evaluation": "trigpoint.evaluation.relative_pose:RelativePoseSettings",
}
PREPARE_CLASS = "trigpoint.datasets.base:PrepareSettings"
PAIRS_CLASS = "trigpoint.matching.pair_lists:PairSettings"
COMMON = ("seed", "deterministic", "code_version", "strict")  # every command gets them from the top of the file
JSON_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def build_schema() -> dict[str, Any]:
    """The schema as JSON-like values, ready to be written as YAML."""
    stages = {name: class_schema(load(target)) for name, target in STAGE_CLASSES.items()}
    roles = closed({"map": pairs_schema(), "query": pairs_schema()}, "of each role")
    one_list = {"type": "string", "minLength": 1, "description": "a file of pairs, for both roles"}
    stages["pairs"] = {"description": "which images are matched", "anyOf": [roles, one_list]}
    stages["matching"] = matching_schema()
    run = closed(
        {
            "method": {"type": "string", "description": "name of a method; a third party's too"},
            "descriptor_dtype": {"enum": ["float16", "float32"], "description": "of the stored descriptors"},
            "features": {"type": "object", "description": "settings of a method of single images"},
            "correspondences": {"type": "object", "description": "settings of a method of image pairs"},
            "retrieval_run": {
                "type": "string",
                "description": "of a method of image pairs: the run whose descriptors choose similar images, where the"
                " dataset's pairs are of kind retrieval; only its features are computed",
            },
            **stages,
        },
        "a method with its settings: one column of every table",
        required=["method"],
    )
    run["allOf"] = [method_branch(name) for name in METHODS]
    photos = {**stages, "prepare": class_schema(load(PREPARE_CLASS))}
    dataset = {
        "layout": {"enum": [*LAYOUTS], "description": "adapter that reads the raw tree"},
        "root": {"type": "string", "description": "the raw tree where it already is; used in place, never written"},
        "runs": {"type": "array", "items": {"type": "string"}, "description": "instead of the runs at the top"},
        **photos,
    }
    dataset["evaluation"] = {"type": "object", "description": "what is measured, by the layout's protocol"}
    return closed(top_level(run, photos, dataset), "trigpoint's configuration", required=[*top_level({}, {}, {})])


def top_level(run: dict[str, Any], photos: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """Properties of the whole file."""
    names = {"propertyNames": {"pattern": f"^{DATASET_ID.pattern}$"}}
    return {
        "seed": {"type": "integer", "minimum": 0, "description": "of every random choice in every stage"},
        "deterministic": {"type": "boolean", "description": "one thread in verification and mapping"},
        "strict": {"type": "boolean", "description": "an unusable image stops the run"},
        "device": {"enum": ["auto", "cpu", "cuda"], "description": "where networks run"},
        "mirrors": {"type": "array", "items": {"type": "string"}, "description": "addresses tried first"},
        "runs": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "columns of the tables"},
        "run_settings": {"type": "object", **names, "additionalProperties": run, "description": "what runs there are"},
        "photos": closed(photos, "settings of folders data/<id>/images that are not configured"),
        "datasets": {
            "type": "object",
            **names,
            "additionalProperties": closed(dataset, "one dataset", required=["layout"]) | evaluation_branches(),
            "description": "what datasets there are",
        },
        "collections": {
            "type": "object",
            **names,
            "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "description": "datasets that are reported together",
        },
    }


def closed(properties: dict[str, Any], description: str, required: list[str] | None = None) -> dict[str, Any]:
    """An object in which an unknown key is an error."""
    schema: dict[str, Any] = {
        "type": "object",
        "description": description,
        "properties": properties,
        "additionalProperties": False,
    }
    return schema | ({"required": required} if required else {})


def method_branch(name: str) -> dict[str, Any]:
    """What `features`, or `correspondences` of a pair method, may hold where `method` is `name`."""
    module_name, class_name = METHODS[name].target.split(":")
    key = "features" if METHODS[name].kind == "feature" else "correspondences"
    settings = getattr(importlib.import_module(module_name), class_name).Settings
    return {
        "if": {"properties": {"method": {"const": name}}},
        "then": {"properties": {key: class_schema(settings)}},
    }


def evaluation_branches() -> dict[str, Any]:
    """What `evaluation` of a dataset may hold, by its layout: the settings of its benchmark of pairs, or of maps."""
    classes = {layout: benchmark.settings for layout, benchmark in PAIR_BENCHMARKS.items()}
    branches = [
        {
            "if": {"properties": {"layout": {"const": layout}}},
            "then": {"properties": {"evaluation": class_schema(load(target))}},
        }
        for layout, target in classes.items()
    ]
    others = {
        "if": {"properties": {"layout": {"not": {"enum": [*classes]}}}},
        "then": {"properties": {"evaluation": class_schema(load(STAGE_CLASSES["evaluation"]))}},
    }
    return {"allOf": [*branches, others]}


def matching_schema() -> dict[str, Any]:
    """The matcher's name, and its settings beside it."""
    branches = []
    for name, entry in MATCHERS.items():
        module_name, class_name = entry.target.split(":")
        settings = class_schema(getattr(importlib.import_module(module_name), class_name).Settings)
        settings["properties"] = {"matcher": {"const": name}, **settings["properties"]}
        branches.append({"if": {"properties": {"matcher": {"const": name}}}, "then": settings})
    return {
        "type": "object",
        "description": "how features become matches",
        "properties": {"matcher": {"enum": [*MATCHERS], "description": "name of a matcher"}},
        "required": ["matcher"],
        "allOf": branches,
    }


def pairs_schema() -> dict[str, Any]:
    """PairSettings, with `auto` as a further kind that the workflow resolves."""
    schema = class_schema(load(PAIRS_CLASS))
    kinds = schema["properties"]["kind"]["enum"]
    schema["properties"]["kind"]["enum"] = ["auto", *kinds]
    return schema


def load(target: str) -> type:
    module_name, class_name = target.split(":")
    loaded = getattr(importlib.import_module(module_name), class_name)
    assert isinstance(loaded, type)
    return loaded


def class_schema(settings: type) -> dict[str, Any]:
    """A settings dataclass as a closed object; the comment behind a field is its description."""
    hints = get_type_hints(settings)
    comments = field_comments(settings)
    properties = {
        item.name: type_schema(hints[item.name]) | field_notes(item, comments.get(item.name, ""))
        for item in fields(settings)
        if item.name not in COMMON
    }
    return closed(properties, (settings.__doc__ or settings.__name__).strip().split("\n")[0])


def field_notes(item: "Field[Any]", comment: str) -> dict[str, Any]:
    notes: dict[str, Any] = {"description": comment or item.name.replace("_", " ")}
    if item.default is not MISSING:
        notes["default"] = list(item.default) if isinstance(item.default, tuple) else item.default
    return notes


def field_comments(settings: type) -> dict[str, str]:
    """Comments of a dataclass' fields, those of its bases too: behind the field or in the lines above it."""
    comments: dict[str, str] = {}
    for base in reversed(settings.__mro__[:-1]):
        above: list[str] = []
        for line in inspect.getsource(base).splitlines():
            match = re.match(r"    (\w+): .*?(?:  # (.*))?$", line)
            if match:
                comments[match[1]] = match[2] or " ".join(above)
            above = [*above, line.strip()[2:]] if line.strip().startswith("# ") else []
    return comments


def type_schema(hint: Any) -> dict[str, Any]:
    """JSON schema of a field's type.

    Raises:
        TypeError: a type that a settings class should not have.
    """
    if hint in JSON_TYPES:
        return {"type": JSON_TYPES[hint]}
    if is_dataclass(hint) and isinstance(hint, type):
        return class_schema(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return union_schema([type_schema(option) for option in arguments])
    if origin in (tuple, list):
        return {"type": "array", "items": type_schema(arguments[0])}
    raise TypeError(f"no JSON schema for a field of type {hint}")


def union_schema(options: list[dict[str, Any]]) -> dict[str, Any]:
    """One of several types; simple ones become a list of types, a choice or nothing becomes a choice with null."""
    if all(set(option) == {"type"} for option in options):
        return {"type": [option["type"] for option in options]}
    choices = [option for option in options if option != {"type": "null"}]
    if len(choices) == 1 and "enum" in choices[0]:
        return {"enum": [*choices[0]["enum"], None]}
    return {"anyOf": options}


if __name__ == "__main__":
    head = "# Written by `make schema` from the settings classes; a test fails when it is stale.\n"
    Path(sys.argv[1]).write_text(head + yaml.safe_dump(build_schema(), sort_keys=False, width=110))

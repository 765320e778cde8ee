"""config.yaml: validation in one line, and the settings every command is given.

The workflow imports this at start, so it loads no torch and no pycolmap.
"""

import importlib.util
import json
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from trigpoint.code_versions import CODE_VERSIONS
from trigpoint.errors import SettingsError, WeightsError
from trigpoint.evaluation.pair_benchmarks import PAIR_BENCHMARKS
from trigpoint.methods.base import files_needed, method_entry, nearest
from trigpoint.storage.weights import WEIGHTS, cached_path, resolve_weights

DATASET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
RESERVED_IDS = ("downloads", "training")
NEIGHBORS_OF_MISSING = 50  # similar images of a query that is in no pair of a given list
IMAGES_FOR_RETRIEVAL = 200  # pairs of kind `auto`: exhaustive up to here (19,900 pairs), retrieval beyond

# stage of the configuration -> command that is given its settings
STAGES = {
    "features": "extract-features",
    "matching": "match-pairs",
    "correspondences": "match-pairs",
    "merging": "merge-keypoints",
    "pairs": "list-pairs",
    "import": "import-database",
    "verification": "verify-pairs",
    "mapping": "map",
    "localization": "localize",
    "dense_localization": "localize-dense",
    "evaluation": "evaluate",
    "flow": "match-flow",
}

# keys of a run that belong to one kind of method
KEYS_OF_KIND = {
    "feature": ("features", "matching", "descriptor_dtype"),
    "pair": ("correspondences", "merging", "retrieval_run"),
}


def validate(config: Mapping[str, Any], schema_path: Path) -> None:
    """Check a configuration against the schema and the tables of methods.

    Raises:
        SettingsError: one line with the key, what was found, what is allowed and the nearest known name.
    """
    schema = yaml.safe_load(schema_path.read_text())
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(config), key=lambda error: [str(part) for part in error.absolute_path])
    if errors:
        raise SettingsError(f"config: {_one_line(_deepest(errors[0]))}")
    for run in [*config["runs"], *(run for item in config["datasets"].values() for run in item.get("runs", []))]:
        if run not in config["run_settings"]:
            raise SettingsError(
                f"config: runs: '{run}' is not in run_settings{nearest(run, [*config['run_settings']])}"
            )
    for run, settings in config["run_settings"].items():
        _check_run(config, run, settings)
    _check_ids(config)


def _check_run(config: Mapping[str, Any], run: str, settings: Mapping[str, Any]) -> None:
    """Refuse a method that is not there, and settings of the other kind of method."""
    where = f"config: run_settings.{run}"
    try:
        kind = method_entry(settings["method"]).kind
    except SettingsError as error:
        raise SettingsError(f"{where}.method: {error}") from error
    for other in KEYS_OF_KIND.keys() - {kind}:
        for key in settings.keys() & set(KEYS_OF_KIND[other]):
            raise SettingsError(
                f"{where}.{key}: '{settings['method']}' is a {kind} method, whose settings stand in"
                f" {', '.join(KEYS_OF_KIND[kind])}"
            )
    similar = settings.get("retrieval_run")
    if similar is not None and similar not in (known := runs_of_kind(config, "feature")):
        raise SettingsError(
            f"{where}.retrieval_run: '{similar}' is no run of a feature method{nearest(similar, known)}"
        )


def _check_ids(config: Mapping[str, Any]) -> None:
    for name in [*config["datasets"], *config["collections"]]:
        if not DATASET_ID.fullmatch(name) or name in RESERVED_IDS:
            raise SettingsError(
                f"config: '{name}' cannot name a dataset: letters, digits, _ and - only, and not {RESERVED_IDS}"
            )
    for name, members in config["collections"].items():
        if name in config["datasets"]:
            raise SettingsError(f"config: '{name}' names a dataset and a collection")
        for member in members:
            if member not in config["datasets"]:
                raise SettingsError(
                    f"config: collections.{name}: no dataset '{member}'{nearest(member, [*config['datasets']])}"
                )


def _deepest(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """The innermost cause of an error of a combined schema."""
    while error.context:
        error = max(error.context, key=lambda inner: len(inner.absolute_path))
    return error


def _one_line(error: jsonschema.ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path)
    where = f"{key}: " if key else ""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties":
        known = [*schema.get("properties", {})]
        found: Any = error.instance
        unknown = next(name for name in found if name not in known)
        return f"{where}unknown key '{unknown}'{nearest(str(unknown), known)}"
    allowed: Any = error.validator_value
    if error.validator == "enum":
        return (
            f"{where}found {error.instance!r}; allowed: {', '.join(map(repr, allowed))}{_hint(error.instance, allowed)}"
        )
    if error.validator == "type":
        kinds = allowed if isinstance(allowed, str) else " or ".join(allowed)
        return f"{where}found {error.instance!r}; allowed: {kinds}"
    return f"{where}found {error.instance!r}; {error.message}"


def _hint(found: Any, allowed: list[Any]) -> str:
    words = [word for word in allowed if isinstance(word, str)]
    text = nearest(str(found), words)
    return text[text.index("; did you mean") :] if "; did you mean" in text else ""


def known_datasets(config: Mapping[str, Any], data_dir: Path = Path("data")) -> list[str]:
    """Configured datasets and folders `data/<id>/images`, sorted."""
    folders = {path.parent.name for path in data_dir.glob("*/images") if path.is_dir()}
    usable = {name for name in folders if DATASET_ID.fullmatch(name)} - set(RESERVED_IDS)
    return sorted({*config["datasets"], *usable})


def check_dataset(config: Mapping[str, Any], dataset: str, data_dir: Path = Path("data")) -> None:
    """Raise SettingsError, naming what there is, unless `dataset` is configured or a folder of photographs."""
    known = known_datasets(config, data_dir)
    if dataset not in known:
        everything = [*known, *config["collections"]]
        raise SettingsError(
            f"no dataset is called '{dataset}' and there is no folder {data_dir}/{dataset}/images"
            f"{nearest(dataset, everything)}"
        )


def dataset_settings(config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """A dataset's settings; a folder of photographs that is not configured gets those of `photos`."""
    own = config["datasets"].get(dataset, {"layout": "photos"})
    base = config["photos"] if own["layout"] == "photos" else {}
    merged = with_pair_list(merge(base, own))
    merged.setdefault("root", f"data/{dataset}")
    return merged


def with_pair_list(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with `pairs: FILE` spelt out: one list for both roles, similar images for queries it leaves out."""
    found = dict(settings)
    if isinstance(path := found.get("pairs"), str):
        given = {"kind": "file", "path": path}
        missing = {"retrieve_missing": True, "num_neighbors": NEIGHBORS_OF_MISSING}
        found["pairs"] = {"map": given, "query": {**given, **missing}}
    return found


def runs_of(config: Mapping[str, Any], dataset: str) -> list[str]:
    """Names of the runs of a dataset, in the order of the table's columns."""
    return list(config["datasets"].get(dataset, {}).get("runs", config["runs"]))


def run_settings(config: Mapping[str, Any], dataset: str, run: str) -> dict[str, Any]:
    """A run on a dataset: the run's own settings over the dataset's."""
    stages = {name: value for name, value in dataset_settings(config, dataset).items() if name in STAGES}
    return merge(stages, with_pair_list(config["run_settings"][run]))


def stage_json(config: Mapping[str, Any], dataset: str, run: str, stage: str, num_images: int = 0) -> str:
    """The sorted JSON a command is given with `--settings`: all that changes its result but its inputs.

    Args:
        stage: a key of STAGES, or `pairs.map` or `pairs.query`.
        num_images: images of the map, which pairs of kind `auto` depend on.
    """
    settings = run_settings(config, dataset, run)
    stage, _, role = stage.partition(".")
    values = deepcopy(settings.get(stage, {}))
    if stage == "features":
        values = {
            "method": settings["method"],
            "settings": values,
            "descriptor_dtype": settings.get("descriptor_dtype", "float16"),
            "strict": config["strict"],
        }
    elif stage == "correspondences":
        values = {"method": settings["method"], "settings": values, "strict": config["strict"]}
    elif stage == "flow":
        values = _flow_values(settings)
    elif stage == "matching":
        values = {"matcher": values.pop("matcher"), "settings": values}
    elif stage == "pairs":
        values = dict(values.get(role, {}))
        if values.get("kind", "auto") == "auto":
            benchmark = PAIR_BENCHMARKS.get(dataset_settings(config, dataset)["layout"])
            few = "exhaustive" if num_images <= IMAGES_FOR_RETRIEVAL else "retrieval"
            values["kind"] = "file" if benchmark and benchmark.own_pairs else few
    common = {
        "seed": config["seed"],
        "deterministic": config["deterministic"],
        "code_version": CODE_VERSIONS[STAGES[stage]],
    }
    return json.dumps({**values, **common}, sort_keys=True)


def _flow_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `match-flow` is given: the method of a run of either kind, with its matcher if it needs one."""
    if method_entry(settings["method"]).kind == "pair":
        return {"method": settings["method"], "settings": settings.get("correspondences", {})}
    matching = dict(settings.get("matching", {}))
    return {
        "method": settings["method"],
        "settings": settings.get("features", {}),
        "matcher": matching.pop("matcher", "mutual_nn"),
        "matcher_settings": matching,
    }


def flow_datasets(config: Mapping[str, Any]) -> list[str]:
    """Datasets that are evaluated by dense flow instead of maps."""
    return [name for name, own in config["datasets"].items() if own["layout"] == "eth3d"]


def pair_datasets(config: Mapping[str, Any]) -> list[str]:
    """Datasets that are evaluated pair by pair instead of by maps."""
    return [name for name, own in config["datasets"].items() if own["layout"] in PAIR_BENCHMARKS]


def imc_datasets(config: Mapping[str, Any]) -> list[str]:
    """Datasets that are evaluated by the Image Matching Challenge: by pairs, and by maps of small bags of images."""
    return [name for name, own in config["datasets"].items() if own["layout"] == "imc"]


def pair_evaluation_json(config: Mapping[str, Any], dataset: str) -> str:
    """The sorted JSON `evaluate-pairs` is given: the dataset's settings, since a protocol is the same for all runs."""
    values = dataset_settings(config, dataset).get("evaluation", {})
    common = {"seed": config["seed"], "code_version": CODE_VERSIONS["evaluate-pairs"]}
    return json.dumps({**values, **common}, sort_keys=True)


def dense_datasets(config: Mapping[str, Any]) -> list[str]:
    """Datasets whose queries are localized by the 3D points of scans instead of in a map."""
    return [name for name, own in config["datasets"].items() if own["layout"] == "inloc"]


def pair_kind(config: Mapping[str, Any], dataset: str, run: str, role: str, num_images: int) -> str:
    """The kind of pair list a run uses for a role; `auto` resolved."""
    return str(json.loads(stage_json(config, dataset, run, f"pairs.{role}", num_images))["kind"])


def pairs_need_features(config: Mapping[str, Any], dataset: str, run: str, role: str, num_images: int) -> bool:
    """Whether a pair list is made, or completed, by similar images."""
    values = json.loads(stage_json(config, dataset, run, f"pairs.{role}", num_images))
    return values["kind"] == "retrieval" or bool(values.get("retrieve_missing"))


def roles_that_limit(config: Mapping[str, Any], dataset: str, run: str, num_images: int) -> list[str]:
    """Roles whose pair lists are known before any feature and may leave images out, so that only theirs are extracted.

    These are the given lists, the queries' only beside one of the map.
    """

    def is_given(role: str) -> bool:
        return pair_kind(config, dataset, run, role, num_images) == "file" and not pairs_need_features(
            config, dataset, run, role, num_images
        )

    if dataset in dense_datasets(config):  # which has no pairs of map images
        return ["query"] if is_given("query") else []
    return [role for role in ("map", "query") if is_given("map") and is_given(role)]


def given_for_pairs(config: Mapping[str, Any], dataset: str, run: str, role: str, num_images: int) -> list[str]:
    """The user's own files that a pair list is made from: the list itself, or those of a COLMAP model.

    Raises:
        SettingsError: the configuration names one that is not there.
    """
    values = json.loads(stage_json(config, dataset, run, f"pairs.{role}", num_images))
    files = []
    for key in ("path", "model"):
        if not values.get(key):
            continue
        path = Path(values[key])
        if not path.exists():
            raise SettingsError(f"config: datasets.{dataset}.pairs.{role}.{key}: '{path}' does not exist")
        files += sorted(map(str, path.iterdir())) if path.is_dir() else [str(path)]
    return files


def runs_of_kind(config: Mapping[str, Any], kind: str) -> list[str]:
    """All runs whose method is a `feature` or a `pair` method, selected or not."""
    return [run for run, own in config["run_settings"].items() if method_entry(own["method"]).kind == kind]


def retrieval_run(config: Mapping[str, Any], run: str) -> str:
    """The run whose descriptors find similar images for a run: its own, or those of the run that a pair run names.

    Raises:
        SettingsError: a pair method has no descriptors, and its run names no other.
    """
    own = config["run_settings"][run]
    if method_entry(own["method"]).kind == "feature":
        return run
    if "retrieval_run" not in own:
        raise SettingsError(
            f"config: run_settings.{run}: '{own['method']}' has no descriptors to find similar images by, which pairs"
            f" of kind retrieval need; set retrieval_run to one of {', '.join(runs_of_kind(config, 'feature'))}"
        )
    return str(own["retrieval_run"])


def weights_of(config: Mapping[str, Any], dataset: str, run: str) -> list[str]:
    """Checkpoints of a run's method, and further files that it reads: registered names or the user's files."""
    own = run_settings(config, dataset, run)
    section = "features" if method_entry(own["method"]).kind == "feature" else "correspondences"
    return files_needed(own["method"], own.get(section, {}))


def check_runs(config: Mapping[str, Any], dataset: str) -> None:
    """Refuse, before the first job, selected runs that could not end.

    Raises:
        SettingsError: a pair run needs the descriptors of another one and names none, or a package is not installed.
        WeightsError: a checkpoint is missing and cannot be fetched.
    """
    for run in runs_of(config, dataset):
        check_weights(config, dataset, run)
        kind = run_settings(config, dataset, run).get("pairs", {}).get("map", {}).get("kind")
        if kind == "retrieval" and retrieval_run(config, run) != run:  # whether there are queries is not known yet
            check_weights(config, dataset, retrieval_run(config, run))


def check_weights(config: Mapping[str, Any], dataset: str, run: str) -> None:
    """Refuse a run whose checkpoint or package is missing, unless the workflow can fetch it; errors as `check_runs`."""
    method = run_settings(config, dataset, run)["method"]
    package = method_entry(method).package
    if package and importlib.util.find_spec(package) is None:
        raise SettingsError(f"run '{run}': method '{method}' needs the package {package}: pip install {package}")
    for name in weights_of(config, dataset, run):
        if name in WEIGHTS and (cached_path(name).is_file() or WEIGHTS[name].urls or WEIGHTS[name].package):
            continue
        if name in WEIGHTS or not Path(name).exists():  # PoSFeat's are folders
            try:
                resolve_weights(name)
            except WeightsError as error:
                raise WeightsError(f"run '{run}': {error}") from error


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`; mappings are merged, everything else is replaced.

    A mapping that names another `matcher`, `kind` or `method` replaces the old one whole: it has other settings.
    """
    merged = deepcopy(dict(base))
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and not _another_kind(old, value):
            merged[key] = merge(old, value)
        else:
            merged[key] = deepcopy(value)
    return merged


def _another_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return any(key in new and key in old and new[key] != old[key] for key in ("matcher", "kind", "method"))

import fcntl
import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from snakemake.logging import logger
from trigpoint import config as settings
from trigpoint import planning
from trigpoint.datasets.imc import dataset_bags
from trigpoint.datasets.tree import dataset_tree_digest
from trigpoint.errors import SettingsError, TrigpointError
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.flow import FlowTruth
from trigpoint.storage.shards import Shard, shard_count
from trigpoint.storage.weights import WEIGHTS, cached_path
from trigpoint.matching.base import MATCHERS

LOCK = Path(".snakemake/trigpoint.lock")
WEIGHTS_FOLDER = str(cached_path(next(iter(WEIGHTS))).parent)

# Commands end with the process that started them, and are those of this environment.
os.environ.update(
    TRIGPOINT_PARENT=str(os.getpid()),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
)


def lock_this_folder():
    """Hold a lock that the kernel frees however this process ends; Snakemake's own survives SIGKILL."""
    LOCK.parent.mkdir(exist_ok=True)
    handle = LOCK.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(
            "trigpoint: another snakemake works in this folder; wait for it, or stop it"
        )
    return handle


def in_one_line(function):
    """Let a user's mistake end the workflow with one line."""

    @functools.wraps(function)  # Snakemake looks at the names of the arguments
    def wrapped(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except TrigpointError as error:
            sys.exit(f"trigpoint: {error}")

    return wrapped


def check_pycolmap():
    """Let a version of pycolmap that this is not made for end the workflow now, not the first job that needs it."""
    import trigpoint.storage.colmap


if workflow.is_main_process:
    in_one_line(check_pycolmap)()
in_one_line(settings.validate)(
    config, Path(workflow.basedir) / "rules/config.schema.yaml"
)
if workflow.is_main_process and not workflow.dryrun:
    _lock = lock_this_folder()
if (
    "runs" in workflow.config_settings.overwrite_config
):  # a selection on the command line holds for every dataset
    for _dataset in config["datasets"].values():
        _dataset.pop("runs", None)


COLLECTION = "|".join(map(re.escape, config["collections"])) or "(?!)"
ID = settings.DATASET_ID.pattern
# A run of either kind has files of the same names; which rule makes them depends on the run.
FEATURE_RUN = "|".join(settings.runs_of_kind(config, "feature")) or "(?!)"
PAIR_RUN = "|".join(settings.runs_of_kind(config, "pair")) or "(?!)"


wildcard_constraints:
    dataset=rf"(?!(?:{COLLECTION})(?![A-Za-z0-9_-])){ID}",
    run=ID,
    role="map|query",
    shard=r"\d+-of-\d+",
    collection=COLLECTION,


def layout_of(wildcards):
    return settings.dataset_settings(config, wildcards.dataset)["layout"]


def root_of(wildcards):
    return settings.dataset_settings(config, wildcards.dataset)["root"]


def is_fetched(dataset):
    """Whether the dataset is one that can be downloaded: it is configured and has no root of the user's."""
    return dataset in config["datasets"] and "root" not in config["datasets"][dataset]


def fetched(wildcards):
    if not is_fetched(wildcards.dataset):
        return []
    return checkpoints.fetch.get(dataset=wildcards.dataset).output.fetched


def tree_digest(wildcards):
    return dataset_tree_digest(Path(root_of(wildcards)))


def preparation(command):
    """The function that gives a rule of one dataset its `settings` param."""

    def prepare_settings(wildcards):
        values = settings.dataset_settings(config, wildcards.dataset).get("prepare", {})
        return json.dumps(
            {**values, "code_version": settings.CODE_VERSIONS[command]}, sort_keys=True
        )

    return prepare_settings


@functools.cache
def planned(dataset, run, is_prepared):
    """The work of a run, or None where no map is made, or nothing is known yet: `prepare` will say what is wrong."""
    cut = {name: sharding(name) for name in planning.SHARDING}
    try:
        scene = planning.scene_size(config, dataset)
        return planning.plan_run(config, dataset, run, scene, cut)
    except SettingsError:
        return None


def plan_of(dataset, run):
    return planned(dataset, run, Path(f"work/{dataset}/dataset.json").exists())


@functools.cache
def announce_plan(dataset):
    """In a dry run, what a dataset will take that is not there yet, so that Snakemake does not know its jobs."""
    if not workflow.dryrun or Path(f"work/{dataset}/dataset.json").exists():
        return
    pair_runs = settings.runs_of_kind(config, "pair")
    for run in settings.runs_of(config, dataset):
        load = plan_of(dataset, run)
        if load and run not in pair_runs:  # of image pairs `estimate match` knows more
            threads = min(8, workflow.cores or 8)
            logger.info(planning.summary_line(dataset, run, load, threads))


@in_one_line
def dataset_file(wildcards):
    settings.check_dataset(config, wildcards.dataset)
    announce_plan(wildcards.dataset)
    return checkpoints.prepare.get(dataset=wildcards.dataset).output.dataset


def dataset_of(wildcards):
    return read_dataset(Path(dataset_file(wildcards)))


def num_map_images(wildcards):
    return len(dataset_of(wildcards).with_role("map"))


def has_queries(wildcards):
    return bool(dataset_of(wildcards).with_role("query"))


def stage(name):
    """The function that gives a rule its `settings` param."""

    def stage_settings(wildcards):
        role = f".{wildcards.role}" if name == "pairs" else ""
        return settings.stage_json(
            config,
            wildcards.dataset,
            wildcards.run,
            name + role,
            num_map_images(wildcards),
        )

    return stage_settings


@in_one_line
def features_for_pairs(wildcards):
    if settings.pairs_need_features(
        config,
        wildcards.dataset,
        wildcards.run,
        wildcards.role,
        num_map_images(wildcards),
    ):
        run = settings.retrieval_run(config, wildcards.run)
        return f"work/{wildcards.dataset}/{run}/features.h5"
    return []


@in_one_line
def given_for_pairs(wildcards):
    return settings.given_for_pairs(
        config,
        wildcards.dataset,
        wildcards.run,
        wildcards.role,
        num_map_images(wildcards),
    )


def pairs_that_limit(wildcards):
    """Given pair lists, where only the images in them need features."""
    if "pairs" not in settings.run_settings(config, wildcards.dataset, wildcards.run):
        return []
    roles = settings.roles_that_limit(
        config, wildcards.dataset, wildcards.run, num_map_images(wildcards)
    )
    return [
        f"work/{wildcards.dataset}/{wildcards.run}/pairs/{role}.txt"
        for role in roles
        if role == "map" or has_queries(wildcards)
    ]


def limit_options(wildcards, input):
    return ["--pairs", *input.pairs] if input.pairs else []


def pair_lists(wildcards):
    roles = ["map", "query"] if has_queries(wildcards) else ["map"]
    if wildcards.dataset in settings.dense_datasets(config):
        roles = ["query"]
    return [
        f"work/{wildcards.dataset}/{wildcards.run}/pairs/{role}.txt" for role in roles
    ]


def profile_sharding(name):
    given = workflow.global_resources.get(name)
    if given is None or given.value is None:
        return planning.SHARDING[name]
    return int(given.value)


if workflow.is_main_process:
    # jobs that start on other machines are not told these resources, but have this environment
    os.environ.update(
        TRIGPOINT_SHARDING=json.dumps(
            {name: profile_sharding(name) for name in planning.SHARDING}
        )
    )


def sharding(name):
    return json.loads(os.environ.get("TRIGPOINT_SHARDING"))[name]


def flow_shards(wildcards):
    """Shards of `match_flow`: as many as the pairs of the ground truth are worth."""
    path = checkpoints.read_flow.get(dataset=wildcards.dataset).output.truth
    with FlowTruth(path) as truth:
        count = shard_count(
            len(truth), sharding("max_shards"), sharding("image_pairs_per_shard")
        )
    return [
        f"work/{wildcards.dataset}/{wildcards.run}/flow/{number + 1}-of-{count}.h5"
        for number in range(count)
    ]


def image_shards(wildcards):
    count = shard_count(
        len(dataset_of(wildcards).images),
        sharding("max_shards"),
        sharding("images_per_shard"),
    )
    return [
        f"work/{wildcards.dataset}/{wildcards.run}/features/{number + 1}-of-{count}.h5"
        for number in range(count)
    ]


def pair_shards(wildcards, folder, per_shard):
    """As many as the pairs of an exhaustive list would need, so that the count is known before the list.

    A benchmark of pairs knows its own.
    """
    images = num_map_images(wildcards)
    pairs = len(dataset_of(wildcards).pairs) or images * (images - 1) // 2
    count = shard_count(pairs, sharding("max_shards"), sharding(per_shard))
    return [
        f"work/{wildcards.dataset}/{wildcards.run}/{folder}/{number + 1}-of-{count}.h5"
        for number in range(count)
    ]


def match_shards(wildcards):
    return pair_shards(wildcards, "matches", "pairs_per_shard")


def correspondence_shards(wildcards):
    return pair_shards(wildcards, "correspondences", "image_pairs_per_shard")


def run_correspondences(wildcards):
    """What a run found in each pair: features and matches, or the shards of a method of image pairs."""
    if wildcards.run in settings.runs_of_kind(config, "pair"):
        return correspondence_shards(wildcards)
    folder = f"work/{wildcards.dataset}/{wildcards.run}"
    return [f"{folder}/features.h5", f"{folder}/matches.h5"]


def correspondence_options(wildcards, input):
    if wildcards.run in settings.runs_of_kind(config, "pair"):
        return ["--shards", *input.found]
    return ["--features", input.found[0], "--matches", input.found[1]]


def bag_shards(wildcards):
    """Shards of `map_bags`: as many as the bags of the benchmark are worth."""
    most = settings.dataset_settings(config, wildcards.dataset).get("evaluation", {})
    bags = dataset_bags(dataset_of(wildcards), most.get("max_bags"))
    count = shard_count(len(bags), sharding("max_shards"), sharding("bags_per_shard"))
    return [
        f"work/{wildcards.dataset}/{wildcards.run}/bags/{number + 1}-of-{count}.json"
        for number in range(count)
    ]


def max_bags_option(wildcards):
    own = settings.dataset_settings(config, wildcards.dataset).get("evaluation", {})
    most = own.get("max_bags")
    return [] if most is None else ["--max-bags", str(most)]


def imc_submissions(wildcards):
    runs = settings.runs_of(config, wildcards.dataset)
    return [f"work/{wildcards.dataset}/{run}/imc_submission" for run in runs]


def pair_evaluation(wildcards):
    return settings.pair_evaluation_json(config, wildcards.dataset)


def cached_results(wildcards):
    """Results of other methods that the user put beside the dataset, to be shown as further rows."""
    return sorted(map(str, Path(f"data/{wildcards.dataset}/cache").glob("*.npy")))


def cached_options(wildcards, input):
    return ["--cached", *input.cached] if input.cached else []


def shard_signature(wildcards):
    """Changes when an image of the shard does, so that added photographs re-run their shard only."""
    signatures = {image.name: image.signature for image in dataset_of(wildcards).images}
    return [
        f"{name} {signatures[name]}"
        for name in Shard.parse(wildcards.shard).select(sorted(signatures))
    ]


def image_signatures(wildcards):
    """Changes when any image does."""
    return [f"{image.name} {image.signature}" for image in dataset_of(wildcards).images]


@in_one_line
def method_weights(wildcards):
    """Checkpoint files of a run's method: the user's, or those of the cache that a rule of their own fetches."""
    settings.check_weights(config, wildcards.dataset, wildcards.run)
    names = settings.weights_of(config, wildcards.dataset, wildcards.run)
    return [str(cached_path(name)) if name in WEIGHTS else name for name in names]


def matcher_weights(wildcards):
    run = settings.run_settings(config, wildcards.dataset, wildcards.run)
    return [
        str(cached_path(name)) for name in MATCHERS[run["matching"]["matcher"]].weights
    ]


def weights_name(wildcards):
    return next(name for name in WEIGHTS if cached_path(name).name == wildcards.file)


def grow_mem_mb(wildcards, attempt):
    return planning.LEAST_MEMORY_MB * attempt


def memory_of(rule):
    """The function that gives a rule its `mem_mb`, by the images and pairs of its dataset, and more for each retry."""

    def mem_mb(wildcards, attempt, threads):
        one = getattr(wildcards, "run", None)
        runs = [one] if one else settings.runs_of(config, wildcards.dataset)
        loads = [load for run in runs if (load := plan_of(wildcards.dataset, run))]
        asked = [planning.requested_mb(rule, load, threads, attempt) for load in loads]
        return max(asked, default=grow_mem_mb(wildcards, attempt))

    return mem_mb


def image_names(wildcards):
    return [image.name for image in dataset_of(wildcards).images]


def calibration_digest(wildcards):
    """Changes when a camera, a pose or the list of images does."""
    return dataset_of(wildcards).calibration_digest()


def feature_options(wildcards, input):
    return f"--features {input.features}" if input.features else ""


def merge_log(wildcards):
    if wildcards.run in settings.runs_of_kind(config, "pair"):
        return f"work/{wildcards.dataset}/{wildcards.run}/merge.json"
    return []


def merge_options(wildcards, input):
    return f"--merging {input.merging}" if input.merging else ""


def localization_options(wildcards, input):
    if not input.localization:
        return ""
    return f"--poses {input.localization[0]} --localization {input.localization[1]}"


def left_out_options(wildcards):
    left_out = runs_left_out(wildcards)
    return ["--left-out", *left_out] if left_out else []


def localization_outputs(wildcards):
    if not has_queries(wildcards):
        return []
    folder = f"work/{wildcards.dataset}/{wildcards.run}"
    return [f"{folder}/poses.txt", f"{folder}/localization.json"]


def run_submissions(wildcards):
    """Submission folders of all runs, where the dataset belongs to a benchmark with a server."""
    if not dataset_of(wildcards).submission or not has_queries(wildcards):
        return []
    runs = settings.runs_of(config, wildcards.dataset)
    return [f"work/{wildcards.dataset}/{run}/submissions" for run in runs]


@in_one_line
def run_metrics(wildcards):
    settings.check_dataset(config, wildcards.dataset)
    settings.check_runs(config, wildcards.dataset)
    runs = settings.runs_of(config, wildcards.dataset)
    return [f"work/{wildcards.dataset}/{run}/metrics.json" for run in runs]


def runs_in_report(wildcards):
    return settings.runs_of(config, wildcards.dataset)


def runs_left_out(wildcards):
    chosen = settings.runs_of(config, wildcards.dataset)
    return [run for run in config["run_settings"] if run not in chosen]


def collection_reports(wildcards):
    return [
        f"work/{member}/report"
        for member in config["collections"][wildcards.collection]
    ]


def report_settings(wildcards):
    """What the page says of this dataset's configuration."""
    chosen = settings.runs_of(config, wildcards.dataset)
    resolved = {
        "dataset": settings.dataset_settings(config, wildcards.dataset),
        "runs": {
            run: settings.run_settings(config, wildcards.dataset, run) for run in chosen
        },
        **{key: config[key] for key in ("seed", "deterministic", "strict", "device")},
    }
    values = {
        "config": resolved,
        "seed": config["seed"],
        "deterministic": config["deterministic"],
    }
    return json.dumps(
        {**values, "code_version": settings.CODE_VERSIONS["report"]}, sort_keys=True
    )


def git_commit():
    """The commit of this workflow, for provenance; empty outside a repository."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=workflow.basedir,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


# For provenance and for downloads: no change of a result, so no param that would re-run one.
os.environ.update(
    TRIGPOINT_COMMIT=git_commit(),
    TRIGPOINT_MIRRORS=" ".join(f"--mirror {mirror}" for mirror in config["mirrors"]),
)

"""The chain's own work on ten photographs (DISK + mutual nearest neighbours, 1024 px), stage by stage.

Each stage runs in a process of its own as the workflow starts it; `work_s` begins after the imports. Beside it: the
recorded peer (hloc with kornia's DISK, same weights, same sizes, two quiet cores), the dense DISK formulation on this
machine now (so that a slow or busy machine shows), and the whole workflow's wall time. Writes
bench/results/sacre_coeur.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import yaml
from machine import describe_machine

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("TRIGPOINT_SHARED", ROOT.parent / "shared"))
# Seconds of work of the peer's stages, recorded on two quiet cores; their sum is the 27 s to beat.
PEER_S = {"extract": 20.6, "match": 1.85, "import": 0.12, "verify": 0.81, "map": 1.93}
STAGES = {
    "extract": "extract-features",
    "match": "match-pairs",
    "import": "import-database",
    "verify": "verify-pairs",
    "map": "map",
}
TIMED = """
import sys, time
started = time.monotonic()
import torch, pycolmap, cv2, h5py
from trigpoint.cli import main
imported = time.monotonic()
code = main(sys.argv[1:])
print(imported - started, time.monotonic() - imported)
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=SHARED / "data/sacre_coeur/mapping")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/sacre_coeur.json")
    args = parser.parse_args()
    if not args.images.is_dir():
        sys.exit(f"{args.images}: no such folder; name the photographs with --images")
    with tempfile.TemporaryDirectory() as folder:
        runs = [run_stages(args.images, Path(folder) / str(number)) for number in range(args.repeats)]
        workflow_s = run_workflow(args.images, Path(folder) / "workflow")
    work = {stage: median(run[stage]["work_s"] for run in runs) for stage in STAGES}
    whole = {stage: median(run[stage]["process_s"] for run in runs) for stage in STAGES}
    result = {
        "machine": describe_machine(),
        "images": len(list(args.images.iterdir())),
        "repeats": args.repeats,
        "work_s": work,
        "work_spread_s": {s: [min(r[s]["work_s"] for r in runs), max(r[s]["work_s"] for r in runs)] for s in STAGES},
        "process_s": whole,
        "peer_recorded_work_s": PEER_S,
        "times_faster_than_recorded_peer": sum(PEER_S.values()) / sum(work.values()),
        "workflow_wall_s": workflow_s,
        "workflow_overhead_s": workflow_s - sum(whole.values()),
    }
    args.output.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


def settings_of(stage: str) -> str:
    """What the workflow passes to a stage of the run `disk` on a folder of photographs."""
    from trigpoint.config import stage_json

    return stage_json(yaml.safe_load((ROOT / "config.yaml").read_text()), "photographs", "disk", stage, 10)


def run_stages(images: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds of each stage, in order, on fresh files."""
    (folder / "root").mkdir(parents=True)
    (folder / "root/images").symlink_to(images)
    f = {
        name: str(folder / name)
        for name in ("dataset.json", "f.h5", "pairs.txt", "m.h5", "i.db", "v.db", "model", "map.json")
    }
    common = ["--dataset", f["dataset.json"]]
    untimed(
        "prepare",
        "--dataset",
        "photographs",
        "--layout",
        "photos",
        "--root",
        str(folder / "root"),
        "--output",
        f["dataset.json"],
    )
    untimed("list-pairs", "--settings", settings_of("pairs.map"), "--role", "map", *common, "--output", f["pairs.txt"])
    threads = ["--num-workers", "2"]
    inputs = ["--features", f["f.h5"], "--matches", f["m.h5"], "--pairs", f["pairs.txt"]]
    return {
        "extract": timed(
            "extract-features", "--settings", settings_of("features"), *common, *threads, "--output", f["f.h5"]
        ),
        "match": timed(
            "match-pairs",
            "--settings",
            settings_of("matching"),
            *common,
            "--features",
            f["f.h5"],
            "--pairs",
            f["pairs.txt"],
            *threads,
            "--output",
            f["m.h5"],
        ),
        "import": timed(
            "import-database", "--settings", settings_of("import"), *common, *inputs, "--output", f["i.db"]
        ),
        "verify": timed(
            "verify-pairs",
            "--settings",
            settings_of("verification"),
            "--database",
            f["i.db"],
            "--num-threads",
            "2",
            "--output",
            f["v.db"],
        ),
        "map": timed(
            "map",
            "--settings",
            settings_of("mapping"),
            *common,
            "--database",
            f["v.db"],
            "--num-threads",
            "2",
            "--output",
            f["model"],
            "--log",
            f["map.json"],
        ),
    }


def timed(*arguments: str) -> dict[str, float]:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", TIMED, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    imports, work = map(float, done.stdout.split()[-2:])
    return {"import_s": imports, "work_s": work, "process_s": time.monotonic() - start}


def untimed(*arguments: str) -> None:
    subprocess.run(["trigpoint", *arguments], check=True)


def run_workflow(images: Path, folder: Path) -> float:
    """Wall seconds of `snakemake results/photographs` with the run `disk`, from nothing."""
    (folder / "data/photographs").mkdir(parents=True)
    (folder / "data/photographs/images").symlink_to(images)
    shutil.copy(ROOT / "config.yaml", folder)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    start = time.monotonic()
    subprocess.run([*command, "--cores", "2", "results/photographs", "--config", "runs=[disk]"], check=True)
    return time.monotonic() - start


if __name__ == "__main__":
    main()

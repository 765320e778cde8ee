"""The demo's bars on scenes that nobody tuned on: `render-scene --seed 1..3`, both runs, recall by day and night.

Writes bench/results/demo_seeds.json: every scene's numbers and their means. About an hour on two cores, nearly all of
it rendering; scenes that are already rendered below --folder are used again.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from statistics import mean

import yaml
from machine import describe_machine

ROOT = Path(__file__).parents[1]
RUNS = ("sift", "disk")
FINEST = "0.25m_2deg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "trigpoint-demo-seeds")
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/demo_seeds.json")
    args = parser.parse_args()
    scenes = {str(seed): run_scene(seed, args.folder) for seed in args.seeds}
    result = {"machine": describe_machine(), "scenes": scenes, "mean": means(scenes), "bars": bars(scenes)}
    args.output.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps({"mean": result["mean"], "bars": result["bars"]}, indent=2))


def run_scene(seed: int, folder: Path) -> dict:
    """Render a scene unless it is there, run the workflow on it, return metrics.json's runs and the wall time."""
    scene = folder / f"scene-{seed}"
    rendered = None
    if not (scene / "scene.json").is_file():
        shutil.rmtree(scene, ignore_errors=True)
        start = time.monotonic()
        subprocess.run(["trigpoint", "render-scene", "--seed", str(seed), "--output", str(scene)], check=True)
        rendered = round(time.monotonic() - start, 1)
    workdir = folder / f"run-{seed}"
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    dataset = f"town_{seed}"
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["datasets"] = {dataset: deepcopy(config["datasets"]["demo"]) | {"root": str(scene)}}
    config["collections"] = {}
    config["runs"] = list(RUNS)
    (workdir / "config.yaml").write_text(yaml.safe_dump(config))
    start = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(workdir)]
    subprocess.run([*command, "--cores", "all", f"results/{dataset}"], check=True)
    metrics = json.loads((workdir / f"results/{dataset}/metrics.json").read_text())
    return {
        "render_s": rendered,
        "workflow_s": round(time.monotonic() - start, 1),
        "runs": {run: short(metrics["runs"][run]) for run in RUNS},
    }


def short(run: dict) -> dict:
    """The numbers that the bars are about."""
    mapping = run["mapping"]
    splits = {
        split: {
            "queries": numbers["queries"],
            "localized_0.25m_2deg": round(numbers["recall_percent"][FINEST] * numbers["queries"] / 100),
            "recall_percent": numbers["recall_percent"][FINEST],
            "median_m": numbers.get("median_m"),
        }
        for split, numbers in run["localization"].items()
    }
    return {"registered": mapping["registered"], "images": mapping["images"]} | splits


def means(scenes: dict) -> dict:
    """Averages over the scenes, for each run and split."""
    return {
        run: {
            split: {
                "recall_percent": mean(scene["runs"][run][split]["recall_percent"] for scene in scenes.values()),
                "localized_0.25m_2deg": mean(
                    scene["runs"][run][split]["localized_0.25m_2deg"] for scene in scenes.values()
                ),
            }
            for split in ("day", "night")
        }
        for run in RUNS
    }


def bars(scenes: dict) -> dict[str, bool]:
    """What the demo promises, on average over the scenes."""
    average = means(scenes)
    runs = [scene["runs"][run] for scene in scenes.values() for run in RUNS]
    medians = [run["day"]["median_m"] for run in runs]
    gain = average["disk"]["night"]["localized_0.25m_2deg"] - average["sift"]["night"]["localized_0.25m_2deg"]
    return {
        "every map image registered": all(run["registered"] == run["images"] for run in runs),
        "day recall at least 95 %": all(average[run]["day"]["recall_percent"] >= 95 for run in RUNS),
        "day median at most 0.05 m": None not in medians and mean(medians) <= 0.05,
        "DISK at least 2 night queries more than SIFT": gain >= 2,
        "SIFT by night above 0 and below 80 %": 0 < average["sift"]["night"]["recall_percent"] < 80,
    }


if __name__ == "__main__":
    main()

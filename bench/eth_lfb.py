"""Rows of the ETH local feature benchmark by the workflow, beside the published ones.

    python bench/eth_lfb.py --data ../shared/data/eth_lfb --output bench/results/eth_lfb.json

runs `snakemake results/eth_lfb_fountain results/eth_lfb_herzjesu` in a temporary folder with the shipped configuration;
`--results FOLDER` takes what such a run left in FOLDER/eth_lfb_*, `--configfile examples/eth_lfb_protocol.yaml` the
benchmark's own settings. The bar for SIFT: points and observations within 8 % of the published row, reprojection error
within 0.03 px.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from trigpoint.datasets.eth_lfb import published_rows
from trigpoint.storage.json_files import read_json, write_json

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("TRIGPOINT_SHARED", ROOT.parent / "shared"))
SCENES = ("Fountain", "Herzjesu")
NUMBERS = (
    "registered", "points3D", "observations", "mean_track_length", "mean_observations_per_image",
    "mean_reprojection_error_px", "inlier_pairs", "inlier_matches", "center_rmse_m",
)  # fmt: skip
MAX_SHARE, MAX_PX = 0.08, 0.03


def run_workflow(data: Path, folder: Path, runs: list[str], examples: list[Path]) -> Path:
    """The results folder of both scenes, with photographs used where they are."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for scene in SCENES:
        config["datasets"][f"eth_lfb_{scene.lower()}"]["root"] = str((data / scene).resolve())
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    targets = [f"results/eth_lfb_{scene.lower()}" for scene in SCENES]
    further = ["--configfile", *(str(path.resolve()) for path in examples)] if examples else []
    chosen = ["--config", f"runs=[{','.join(runs)}]"] if runs else []
    subprocess.run([*command, "--cores", "2", *targets, *further, *chosen], check=True, cwd=folder)
    return folder / "results"


def compare(results: Path, scene: str) -> dict[str, Any]:
    """Rows of a scene's runs and the published row of SIFT, and what each run's counts are of that."""
    runs = read_json(results / f"eth_lfb_{scene.lower()}" / "metrics.json")["runs"]
    published = {name: value for name, value in published_rows(scene)[0].items() if name != "source"}
    rows: dict[str, Any] = {"published SIFT": published}
    for run, values in runs.items():
        found = values["mapping"]
        row = {name: found[name] for name in NUMBERS if name in found}
        row["of_published"] = {name: found[name] / published[name] for name in ("points3D", "observations")}
        row["error_difference_px"] = found["mean_reprojection_error_px"] - published["mean_reprojection_error_px"]
        if "sift" in run:
            near = all(abs(share - 1) <= MAX_SHARE for share in row["of_published"].values())
            row["within_bar"] = near and abs(row["error_difference_px"]) <= MAX_PX
        rows[run] = row
    return rows


def main() -> None:
    """Run, or take what was run, and write."""
    from machine import describe_machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "data/eth_lfb", help="folder with Fountain/, Herzjesu/")
    parser.add_argument("--results", type=Path, help="results folder of a finished run, instead of running")
    parser.add_argument("--runs", nargs="+", default=[], help="default: those the configuration selects")
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], help="over config.yaml")
    parser.add_argument("--output", type=Path, default=Path("bench/results/eth_lfb.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = args.results or run_workflow(args.data, Path(folder), args.runs, args.configfile)
        scenes = {scene: compare(results, scene) for scene in SCENES}
    write_json(args.output, {"machine": describe_machine(), "scenes": scenes})


if __name__ == "__main__":
    main()

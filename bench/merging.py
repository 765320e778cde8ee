"""Schemes of merging pair matches into keypoints, on Fountain: what they lose, and the maps that come of them.

    python bench/merging.py --output bench/results/merging.json

A detector-free method such as Patch2Pix gives each pair points of its own. Here they are SIFT's matches, of each pair
at most so many as such a method gives, drawn by chance, with noise of the given sigma that each pair adds to both its
ends, and scores drawn by chance, which is harder than scores that know. `unjittered` maps the same matches with SIFT's
own keypoints: what a merging without any fault would reach. Intrinsics are given, so that poses tell points apart.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine
from strecha import MAPPING, SHARED, OurChain, measure, strecha_dataset

from trigpoint.errors import TrigpointError
from trigpoint.mapping.database import import_database
from trigpoint.mapping.reconstruction import map_database
from trigpoint.mapping.settings import ImportSettings, MappingSettings, VerificationSettings
from trigpoint.mapping.verification import verify_database
from trigpoint.matching.merging import merge_run
from trigpoint.matching.shared_keypoints import MergeSettings
from trigpoint.storage.correspondences import CorrespondenceShards, CorrespondenceWriter
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.json_files import read_json, write_json
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Correspondences

SIGMAS_PX = (0.5, 1.0, 2.0)
MATCHES_OF_A_PAIR = 1000
SCORES = (0.25, 1.0)  # evenly between them
SCHEMES: dict[str, dict[str, Any]] = {
    "none": {"scheme": "quantize", "quantize_cell_px": 0},
    "quantize 48/4": {"scheme": "quantize"},
    "bins 4, reach 2": {"scheme": "bins"},
    "bins 4, reach 4": {"scheme": "bins", "max_error_px": 4.0},
    **{f"radius {radius:g}": {"radius_px": radius} for radius in (2.0, 3.0, 4.0, 6.0, 8.0)},
}
SHOWN = (
    "registered", "points3D", "observations", "mean_track_length", "mean_reprojection_error_px",
    "center_rmse", "rotation_rmse_deg", "auc_percent",
)  # fmt: skip


def write_noisy(chain: OurChain, path: Path, sigma_px: float) -> None:
    """Correspondences of all pairs, drawn and moved by the pair's own noise."""
    with (
        FeatureReader(chain.folder / "features.h5") as features,
        MatchReader(chain.folder / "matches.h5") as matches,
        CorrespondenceWriter(path, {"method": "jittered", "sigma_px": sigma_px}) as writer,
    ):
        for number, (name0, name1) in enumerate(chain.pairs):
            rng = np.random.default_rng([0, number])
            indices = matches.read(name0, name1).indices
            indices = rng.permutation(indices)[:MATCHES_OF_A_PAIR]
            xy = np.concatenate(
                [features.keypoints(name)[column] for name, column in zip((name0, name1), indices.T, strict=True)], 1
            )
            noisy = xy + sigma_px * rng.standard_normal(xy.shape)
            scores = rng.uniform(*SCORES, len(xy))
            writer.write(name0, name1, Correspondences(noisy.astype(np.float32), scores.astype(np.float32)))


def merged_map(chain: OurChain, shard: Path, folder: Path, settings: MergeSettings) -> dict[str, Any]:
    """Merge, verify, map incrementally, and measure."""
    dataset = strecha_dataset(chain.scene, given=True)
    features, matches, log = (folder / name for name in ("features.h5", "matches.h5", "merge.json"))
    start = time.process_time()
    with CorrespondenceShards([shard]) as shards:
        merge_run(dataset, shards, features, matches, log, settings)
    seconds = time.process_time() - start
    merging = {key: value for key, value in read_json(log).items() if key not in ("settings", "kind", "images")}
    imported, database, model = (folder / name for name in ("imported.db", "database.db", "model"))
    import_database(dataset, features, matches, chain.pairs, imported, ImportSettings(intrinsics="given"))
    verify_database(imported, database, VerificationSettings(), chain.num_threads)
    try:
        map_database(dataset, database, model, folder / "mapping.json", MappingSettings(**MAPPING), chain.num_threads)
    except TrigpointError as error:
        return {"merging": merging, "merge_s": round(seconds, 2), "no map": str(error)}
    measured = measure(dataset, model, database)
    return {
        **{key: measured[key] for key in SHOWN if key in measured},
        "merging": merging,
        "merge_s": round(seconds, 2),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, default=SHARED / "data/eth_lfb/Fountain")
    parser.add_argument("--output", type=Path, default=Path("bench/results/merging.json"))
    parser.add_argument("--num-threads", type=int, default=2)
    parser.add_argument("--sigmas", type=float, nargs="+", default=list(SIGMAS_PX))
    parser.add_argument("--schemes", nargs="+", default=list(SCHEMES))
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine(), "matches_of_a_pair": MATCHES_OF_A_PAIR, "sigma_px": {}}
    with tempfile.TemporaryDirectory() as temporary:
        chain = OurChain(args.scene, Path(temporary), 1600, args.num_threads)
        for sigma_px in [0.0, *args.sigmas]:
            shard = chain.folder / f"{sigma_px:g}.h5"
            write_noisy(chain, shard, sigma_px)
            rows: dict[str, Any] = {}
            for name in args.schemes if sigma_px else ["none"]:
                folder = chain.folder / f"{sigma_px:g} {name}".replace("/", "-")
                folder.mkdir()
                rows[name if sigma_px else "unjittered"] = merged_map(
                    chain, shard, folder, MergeSettings(**SCHEMES[name])
                )
            result["sigma_px"][f"{sigma_px:g}"] = rows
            write_json(args.output, result)


if __name__ == "__main__":
    main()

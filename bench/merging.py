"""Schemes of merging pair matches into keypoints, on Fountain: what they lose, and the maps that come of them.

    python bench/merging.py --output bench/results/merging.json

A detector-free method such as Patch2Pix gives each pair points of its own. Here they are SIFT's matches, of each pair
at most so many as such a method gives, drawn by chance, with noise of the given sigma that each pair adds to both its
ends, and scores drawn by chance, which is harder than scores that know. `unjittered` maps the same matches with SIFT's
own keypoints: what a merging without any fault would reach, and any refinement after it. `, split` takes verified
matches best first and leaves out those that would give a track two keypoints of one image, more than 3 px apart.
Intrinsics are given, so that poses tell points apart.
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
from trigpoint.storage import colmap
from trigpoint.storage.correspondences import CorrespondenceShards, CorrespondenceWriter
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.json_files import read_json, write_json
from trigpoint.storage.matches import GroupWriter, MatchReader
from trigpoint.types import Correspondences, Matches

SIGMAS_PX = (0.5, 1.0, 2.0)
MATCHES_OF_A_PAIR = 1000
SCORES = (0.25, 1.0)  # evenly between them
SCHEMES: dict[str, dict[str, Any]] = {
    "none": {"scheme": "quantize", "quantize_cell_px": 0},
    "quantize 48/4": {"scheme": "quantize"},
    "bins 4, reach 2": {"scheme": "bins"},
    "bins 4, reach 4": {"scheme": "bins", "max_error_px": 4.0},
    **{f"radius {radius:g}": {"radius_px": radius} for radius in (2.0, 3.0, 4.0, 6.0, 8.0)},
    "radius 4, split": {"radius_px": 4.0},
}
SPLIT_PX = 3.0
SHOWN = {  # name of the model's statistics -> name here
    "images": "registered", "points3D": "points3D", "observations": "observations",
    "mean_track_length": "mean_track_length", "mean_reprojection_error_px": "mean_reprojection_error_px",
    "center_rmse_m": "center_rmse_m", "rotation_median_deg": "rotation_median_deg", "auc_percent": "auc_percent",
    "inlier_matches": "inlier_matches",
}  # fmt: skip


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


def merged_map(
    chain: OurChain, shard: Path, folder: Path, settings: MergeSettings, *, is_split: bool
) -> dict[str, Any]:
    """Merge, verify, map incrementally, and measure."""
    features, matches, log = (folder / name for name in ("features.h5", "matches.h5", "merge.json"))
    dataset = strecha_dataset(chain.scene, given=True)
    start = time.process_time()
    with CorrespondenceShards([shard]) as shards:
        merge_run(dataset, shards, features, matches, log, settings)
    seconds = time.process_time() - start
    merging = {key: value for key, value in read_json(log).items() if key not in ("settings", "kind", "images")}
    database = verified(chain, features, matches, folder / "verified")
    split = {}
    if is_split:
        consistent = folder / "split.h5"
        split = write_consistent(chain, features, matches, database, consistent)
        database = verified(chain, features, consistent, folder / "split")
    model, mapping = folder / "model", MappingSettings(**MAPPING)
    row = {"merging": merging, "merge_s": round(seconds, 2), **split}
    try:
        map_database(dataset, database, model, folder / "mapping.json", mapping, chain.num_threads)
    except TrigpointError as error:
        return {**row, "no map": str(error).removeprefix(f"{database}: ")}
    measured = measure(dataset, model, database)
    return {**{name: measured[key] for key, name in SHOWN.items() if key in measured}, **row}


def verified(chain: OurChain, features: Path, matches: Path, folder: Path) -> Path:
    """A database with the verified matches."""
    folder.mkdir()
    imported, database = folder / "imported.db", folder / "database.db"
    dataset = strecha_dataset(chain.scene, given=True)
    import_database(dataset, features, matches, chain.pairs, imported, ImportSettings(intrinsics="given"))
    verify_database(imported, database, VerificationSettings(), chain.num_threads)
    return database


def write_consistent(chain: OurChain, features: Path, matches: Path, database: Path, output: Path) -> dict[str, float]:
    """Verified matches, best first, less those that would join two far keypoints of an image in one track."""
    rows: list[tuple[float, tuple[str, str], int, int]] = []
    ids = colmap.summarize_database(database).images
    with FeatureReader(features) as reader, MatchReader(matches) as found, colmap.open_database(database) as opened:
        xy = {name: reader.keypoints(name) for name in ids}
        for pair in chain.pairs:
            own = found.read(*pair)
            score_of = {(int(a), int(b)): float(score) for (a, b), score in zip(own.indices, own.scores, strict=True)}
            inliers = opened.read_two_view_geometry(*(ids[name] for name in pair)).inlier_matches
            rows += [(score_of[int(a), int(b)], pair, int(a), int(b)) for a, b in inliers]
    tracks: dict[tuple[str, int], dict[str, list[int]]] = {}
    kept: dict[tuple[str, str], list[tuple[int, int]]] = {pair: [] for pair in chain.pairs}
    for _, pair, a, b in sorted(rows, key=lambda row: (-row[0], row[1:])):
        ends = [tracks.setdefault((name, end), {name: [end]}) for name, end in zip(pair, (a, b), strict=True)]
        if ends[0] is not ends[1]:
            if not all(
                np.hypot(*(xy[name][one] - xy[name][other])) <= SPLIT_PX
                for name in ends[0].keys() & ends[1].keys()
                for one in ends[0][name]
                for other in ends[1][name]
            ):
                continue
            for name, members in ends[1].items():
                ends[0].setdefault(name, []).extend(members)
            tracks.update({(name, member): ends[0] for name, members in ends[1].items() for member in members})
        kept[pair].append((a, b))
    with GroupWriter(output, {}) as writer:
        for pair, indices in kept.items():
            own_rows = np.array(indices, np.int32).reshape(-1, 2)
            writer.write(*pair, Matches(own_rows, np.ones(len(own_rows), np.float32)))
    dropped = len(rows) - sum(map(len, kept.values()))
    return {"split_dropped_percent": round(100 * dropped / max(1, len(rows)), 3)}


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
                    chain, shard, folder, MergeSettings(**SCHEMES[name]), is_split=name.endswith("split")
                )
            result["sigma_px"][f"{sigma_px:g}"] = rows
            write_json(args.output, result)


if __name__ == "__main__":
    main()

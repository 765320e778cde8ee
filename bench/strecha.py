"""SIFT on the Strecha scenes: this project's chain beside plain pycolmap in one run, against the given poses.

    python bench/strecha.py --data ../shared/data/eth_lfb --output bench/results/strecha.json

Both sides extract with the same options and map with the same ones, intrinsics estimated (SIMPLE_RADIAL, one camera)
and given (PINHOLE, fixed). Both match with COLMAP's default matcher, which searches an approximate index; `--exact`
adds plain pycolmap with its exact one, which takes 20 s of a core for each pair.
"""

import argparse
import itertools
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trigpoint.datasets.cameras_gt import read_cameras_gt
from trigpoint.datasets.images import load_image
from trigpoint.evaluation.mapping import pose_metrics
from trigpoint.mapping.database import import_database
from trigpoint.mapping.reconstruction import map_database
from trigpoint.mapping.settings import ImportSettings, MappingSettings, VerificationSettings
from trigpoint.mapping.verification import verify_database
from trigpoint.matching.base import create_matcher
from trigpoint.methods.base import create_method
from trigpoint.storage import colmap
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.storage.json_files import write_json
from trigpoint.storage.matches import MatchWriter
from trigpoint.types import Dataset, DatasetImage

MAPPING = {"multiple_models": False, "seed": 0}
ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("TRIGPOINT_SHARED", ROOT.parent / "shared"))
SCENES = ("Fountain", "Herzjesu")
# ahojnnes/local-feature-evaluation at f6226e7, COLMAP of 2017: registered, points, observations, track, reprojection
PUBLISHED = {"Fountain": [11, 14722, 70631, 4.798, 0.393], "Herzjesu": [8, 7502, 31670, 4.222, 0.432]}


def strecha_dataset(folder: Path, *, given: bool) -> Dataset:
    """A scene with its poses for evaluation; with its calibration, or with cameras to be estimated."""
    known = read_cameras_gt(folder / "cameras_gt.txt")
    images = tuple(
        DatasetImage(
            name=name,
            role="map",
            size=(camera.width, camera.height),
            camera=camera if given else None,
            camera_group="strecha",
        )
        for name, (camera, _) in sorted(known.items())
    )
    poses = {name: pose for name, (_, pose) in known.items()}
    return Dataset(folder.name, "eth_lfb", str(folder / "images"), images, poses=poses, pose_unit="metre")


class OurChain:
    """Features and matches in one folder, then maps of them; seconds of each stage in `seconds`."""

    def __init__(self, scene: Path, folder: Path, max_image_size: int, num_threads: int) -> None:
        self.scene, self.folder, self.num_threads = scene, folder, num_threads
        self.seconds: dict[str, float] = {}
        names = [image.name for image in strecha_dataset(scene, given=True).images]
        self.pairs = list(itertools.combinations(names, 2))
        start = time.monotonic()
        self._extract(names, max_image_size)
        self.seconds["extract"] = time.monotonic() - start
        start = time.monotonic()
        self._match()
        self.seconds["match"] = time.monotonic() - start

    def _extract(self, names: list[str], max_image_size: int) -> None:
        def extract(name: str) -> Any:
            sift = create_method("sift", {"max_image_size": max_image_size})  # an extractor for each thread
            return sift.extract(load_image(self.scene / "images", name))

        with FeatureWriter(self.folder / "features.h5", {}) as writer, ThreadPoolExecutor(self.num_threads) as pool:
            for name, features in zip(names, pool.map(extract, names), strict=True):
                writer.write(name, features)

    def _match(self) -> None:
        matcher = create_matcher("colmap_sift", {}, num_threads=self.num_threads)
        with (
            FeatureReader(self.folder / "features.h5") as features,
            MatchWriter(self.folder / "matches.h5", {}) as writer,
        ):
            for pair, matches in zip(self.pairs, matcher.match_pairs(features.read, self.pairs), strict=True):
                writer.write(*pair, matches)

    def map(self, mapper: str, *, given: bool) -> dict[str, Any]:
        """Metrics and seconds of import, verification and mapping."""
        dataset = strecha_dataset(self.scene, given=given)
        imported, database, model = (self.folder / name for name in ("imported.db", "database.db", "model"))
        settings = ImportSettings(intrinsics="given" if given else "estimate")
        seconds = dict(self.seconds)
        start = time.monotonic()
        features, matches = self.folder / "features.h5", self.folder / "matches.h5"
        import_database(dataset, features, matches, self.pairs, imported, settings)
        seconds["import"] = time.monotonic() - start
        start = time.monotonic()
        verify_database(imported, database, VerificationSettings(), self.num_threads)
        seconds["verify"] = time.monotonic() - start
        start = time.monotonic()
        mapping = MappingSettings(mapper=mapper, **MAPPING)
        map_database(dataset, database, model, self.folder / "mapping.json", mapping, self.num_threads)
        seconds["map"] = time.monotonic() - start
        return {**measure(dataset, model, database), "seconds": seconds}


def plain_pycolmap(
    scene: Path, folder: Path, max_image_size: int, num_threads: int, *, given: bool, exact: bool = False
) -> dict[str, Any]:
    """What somebody would write with pycolmap alone: its extraction, matching, verification, incremental mapping."""
    pycolmap = colmap.pycolmap
    dataset = strecha_dataset(scene, given=given)
    database, images = folder / "plain.db", scene / "images"
    seconds = {}
    start = time.monotonic()
    extraction = pycolmap.FeatureExtractionOptions(
        max_image_size=max_image_size, num_threads=num_threads, use_gpu=False
    )
    reader = pycolmap.ImageReaderOptions()
    if given:
        camera = dataset.images[0].camera
        assert camera is not None
        reader.camera_model = camera.model
        reader.camera_params = ",".join(repr(value) for value in camera.params)
    pycolmap.extract_features(
        database, images, camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader, extraction_options=extraction,
        device=pycolmap.Device.cpu,
    )  # fmt: skip
    seconds["extract"] = time.monotonic() - start
    start = time.monotonic()
    matching = pycolmap.FeatureMatchingOptions(num_threads=num_threads, use_gpu=False, skip_geometric_verification=True)
    matching.sift.cpu_brute_force_matcher = exact
    pycolmap.match_exhaustive(database, matching_options=matching, device=pycolmap.Device.cpu)
    seconds["match"] = time.monotonic() - start
    start = time.monotonic()
    pycolmap.geometric_verification(
        database,
        verifier_options={"num_threads": num_threads},
        two_view_geometry_options={"ransac": {"random_seed": 0}},
    )
    seconds["verify"] = time.monotonic() - start
    start = time.monotonic()
    options = pycolmap.IncrementalPipelineOptions(
        multiple_models=False, min_model_size=3, num_threads=num_threads, random_seed=0
    )
    if given:
        options.ba_refine_focal_length = options.ba_refine_extra_params = False
        options.mapper.abs_pose_refine_focal_length = options.mapper.abs_pose_refine_extra_params = False
    (model,) = pycolmap.incremental_mapping(database, images, folder, options).values()
    seconds["map"] = time.monotonic() - start
    (folder / "plain").mkdir()
    model.write(folder / "plain")
    return {**measure(dataset, folder / "plain", database), "seconds": seconds}


def measure(dataset: Dataset, model: Path, database: Path) -> dict[str, Any]:
    """Size, fit and pose errors of a map, and the matches it was made of."""
    reconstruction = colmap.read_model(model)
    summary = colmap.summarize_database(database)
    return {
        **asdict(colmap.model_statistics(reconstruction)),
        **pose_metrics(dataset, colmap.model_poses(reconstruction)),
        "keypoints": sum(summary.num_keypoints.values()),
        "matches": sum(summary.matches.values()),
        "verified_pairs": len(summary.inliers),
        "inlier_matches": sum(summary.inliers.values()),
    }


def main() -> None:
    """Measure and write."""
    from machine import describe_machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "data/eth_lfb", help="folder with Fountain/, Herzjesu/")
    parser.add_argument("--output", type=Path, default=Path("bench/results/strecha.json"))
    parser.add_argument("--max-image-size", type=int, default=1600, help="px of the longer side")
    parser.add_argument("--num-threads", type=int, default=2)
    parser.add_argument("--mappers", nargs="+", default=["incremental", "global"])
    parser.add_argument("--exact", action="store_true", help="also pycolmap's exact matcher: minutes")
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine(), "max_image_size": args.max_image_size, "scenes": {}}
    for name in SCENES:
        rows: dict[str, Any] = {"published": PUBLISHED[name]}
        with tempfile.TemporaryDirectory() as temporary:
            scene, folder = args.data / name, Path(temporary)
            chain = OurChain(scene, folder, args.max_image_size, args.num_threads)
            for given in (False, True):
                kind = "given" if given else "estimated"
                for mapper in args.mappers:
                    rows[f"trigpoint, {mapper}, {kind}"] = chain.map(mapper, given=given)
                for exact in (False, True) if args.exact else (False,):
                    plain = folder / f"{kind}-{exact}"
                    plain.mkdir()
                    title = f"pycolmap{', exact matcher' if exact else ''}, incremental, {kind}"
                    rows[title] = plain_pycolmap(
                        scene, plain, args.max_image_size, args.num_threads, given=given, exact=exact
                    )
        result["scenes"][name] = rows
    write_json(args.output, result)


if __name__ == "__main__":
    main()

"""Merged keypoints in the rest of the chain, on a scene whose truth is known: tracks, map, queries."""

import json
from pathlib import Path

import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.datasets.synthetic import SyntheticRun, write_synthetic_run
from trigpoint.matching.quantization import ImageQuantizer, QuantizationSettings, unique_matches
from trigpoint.storage.correspondences import CorrespondenceReader, CorrespondenceShards, CorrespondenceWriter
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.pairs import read_pairs
from trigpoint.types import Correspondences

NUM_IMAGES, NUM_QUERIES = 8, 3
NOISE_PX = 0.3


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    return write_synthetic_run(tmp_path_factory.mktemp("truth"), NUM_IMAGES, NUM_QUERIES)


def write_oracle(truth: SyntheticRun, path: Path) -> None:
    """What a perfect pair method gives: true projections, moved by noise of each pair's own, and strays."""
    with FeatureReader(truth.features) as features, CorrespondenceWriter(path, {"method": "oracle"}) as writer:
        for number, (name0, name1) in enumerate([*read_pairs(truth.map_pairs), *read_pairs(truth.query_pairs)]):
            rng = np.random.default_rng(number)
            points0, points1 = truth.point_of_keypoint[name0], truth.point_of_keypoint[name1]
            shared, rows0, rows1 = np.intersect1d(points0, points1, return_indices=True)
            rows0, rows1 = rows0[shared >= 0], rows1[shared >= 0]
            xy = np.concatenate([features.keypoints(name0)[rows0], features.keypoints(name1)[rows1]], axis=1)
            xy += rng.normal(0, NOISE_PX, xy.shape)
            strays = rng.uniform(0, 700, (20, 4))
            both = np.concatenate([xy, strays]).astype(np.float32)
            scores = np.concatenate([rng.uniform(0.5, 1, len(xy)), rng.uniform(0, 0.2, 20)]).astype(np.float32)
            writer.write(name0, name1, Correspondences(both, scores))


def command(name: str, **options: object) -> None:
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    assert main([name, *words]) == 0, name


@pytest.fixture(scope="module")
def finished(truth: SyntheticRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of the run, made by the commands."""
    folder = tmp_path_factory.mktemp("oracle")
    write_oracle(truth, folder / "shard.h5")
    given = {"dataset": truth.dataset, "features": folder / "features.h5", "matches": folder / "matches.h5"}
    command("merge-keypoints", shards=folder / "shard.h5", log=folder / "merge.json", **given)
    imported, database, model = folder / "imported.db", folder / "database.db", folder / "model"
    command("import-database", pairs=truth.map_pairs, settings='{"intrinsics": "given"}', output=imported, **given)
    command("verify-pairs", database=imported, output=database)
    command("map", dataset=truth.dataset, database=database, output=model, log=folder / "mapping.json")
    found = {"output": folder / "poses.txt", "log": folder / "localization.json"}
    command("localize", pairs=truth.query_pairs, model=model, **found, **given)
    command(
        "evaluate",
        run="oracle",
        pairs=truth.map_pairs,
        database=database,
        model=model,
        mapping=folder / "mapping.json",
        poses=folder / "poses.txt",
        localization=folder / "localization.json",
        merging=folder / "merge.json",
        output=folder / "metrics.json",
        **given,
    )
    return folder


def test_tracks_reach_over_all_views(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    mapping, merging = metrics["mapping"], metrics["merging"]
    assert mapping["registered"] == NUM_IMAGES
    assert mapping["mean_track_length"] > 5  # 2 without merging, 8 at most
    assert mapping["auc_percent"]["1"] > 90
    assert merging["mean_shift_px"] < 0.6
    assert "settings" not in merging


def test_every_query_is_localized_from_its_raw_points(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    found = metrics["localization"]["synthetic"]
    assert (found["queries"], found["localized"]) == (NUM_QUERIES, NUM_QUERIES)
    assert found["recall_percent"]["0.25m_2deg"] == 100


def test_keypoints_are_nearer_to_the_truth_than_the_points_were(truth: SyntheticRun, finished: Path) -> None:
    """Seven pairs see each point: their mean has less noise than each of them."""
    errors = []
    with FeatureReader(truth.features) as exact, FeatureReader(finished / "features.h5") as merged:
        for image in truth.truth.with_role("map"):
            keypoints = exact.keypoints(image.name)[truth.point_of_keypoint[image.name] >= 0]
            found = merged.keypoints(image.name)[merged.read(image.name).scores > 3]
            distances = np.linalg.norm(found[:, None] - keypoints[None], axis=2).min(axis=1)
            errors.append(distances)
    assert np.median(np.concatenate(errors)) < 0.7 * NOISE_PX * np.sqrt(np.pi / 2)  # the mean length of such noise


def merge(truth: SyntheticRun, folder: Path, shards: list[Path], **settings: object) -> dict[str, object]:
    """What merge-keypoints says of some shards; its files lie in the folder."""
    folder.mkdir()
    outputs = {key: folder / f"{key}.h5" for key in ("features", "matches")}
    words = ["--settings", json.dumps(settings), "--shards", *map(str, shards), "--log", str(folder / "merge.json")]
    words += [word for key, value in outputs.items() for word in (f"--{key}", str(value))]
    assert main(["merge-keypoints", "--dataset", str(truth.dataset), *words]) == 0
    return json.loads((folder / "merge.json").read_text())


def split_in_two(whole: Path, folder: Path) -> list[Path]:
    """The pairs of a shard in two others, in another order."""
    paths = [folder / "first.h5", folder / "second.h5"]
    with CorrespondenceReader(whole) as reader:
        for number, path in enumerate(paths):
            with CorrespondenceWriter(path, reader.settings) as writer:
                for pair in reader.pairs()[::-1][number::2]:
                    writer.write(*pair, reader.read(*pair))
    return paths


@pytest.mark.parametrize("scheme", ["radius", "bins", "quantize"])
def test_every_correspondence_is_counted_once_however_it_is_sharded(
    truth: SyntheticRun, tmp_path: Path, scheme: str
) -> None:
    write_oracle(truth, tmp_path / "whole.h5")
    merged = merge(truth, tmp_path / "one", [tmp_path / "whole.h5"], scheme=scheme)
    assert merge(truth, tmp_path / "two", split_in_two(tmp_path / "whole.h5", tmp_path), scheme=scheme) == merged
    with CorrespondenceShards([tmp_path / "whole.h5"]) as shards:
        total = sum(len(shards.read(*pair)) for pair in read_pairs(truth.map_pairs))
        weak = sum(int((shards.read(*pair).scores < 0.25).sum()) for pair in read_pairs(truth.map_pairs))
    assert merged["correspondences"] == total
    assert merged["matches"] + merged["joined"] + sum(merged["lost"].values()) == total
    assert merged["lost"]["weak"] == (weak if scheme == "quantize" else 0)
    assert merged["matches"] > 0.7 * (total - weak)
    with FeatureReader(tmp_path / "one/features.h5") as one, FeatureReader(tmp_path / "two/features.h5") as two:
        for image in truth.truth.images:
            np.testing.assert_array_equal(one.keypoints(image.name), two.keypoints(image.name))


def test_quantisation_is_that_of_the_published_program(truth: SyntheticRun, tmp_path: Path) -> None:
    """Pairs of map images first, then those of queries, sorted; every image's points go through one quantiser."""
    write_oracle(truth, tmp_path / "whole.h5")
    merge(truth, tmp_path / "merged", [tmp_path / "whole.h5"], scheme="quantize", min_matches=0)
    settings = QuantizationSettings()
    quantizers: dict[str, ImageQuantizer] = {}
    expected = {}
    with CorrespondenceShards([tmp_path / "whole.h5"]) as shards:
        for pair in [*sorted(read_pairs(truth.map_pairs)), *sorted(read_pairs(truth.query_pairs))]:
            found = shards.read(*pair)
            kept = found.scores >= settings.score_threshold
            ends = found.xy[kept, :2], found.xy[kept, 2:]
            numbers = [
                quantizers.setdefault(name, ImageQuantizer(settings)).add(points)
                for name, points in zip(pair, ends, strict=True)
            ]
            rows = np.stack(numbers, axis=1)
            expected[pair] = rows[unique_matches(rows, found.scores[kept])]
    with FeatureReader(tmp_path / "merged/features.h5") as features, MatchReader(tmp_path / "merged/matches.h5") as of:
        for name, quantizer in quantizers.items():
            np.testing.assert_array_equal(features.keypoints(name), quantizer.keypoints())
        for pair, rows in expected.items():
            np.testing.assert_array_equal(of.read(*pair).indices, rows)


def test_equal_points_alone_can_be_joined(truth: SyntheticRun, tmp_path: Path) -> None:
    write_oracle(truth, tmp_path / "whole.h5")
    options = {"scheme": "quantize", "quantize_cell_px": 0, "quantize_min_score": 0}
    merged = merge(truth, tmp_path / "merged", [tmp_path / "whole.h5"], **options)
    assert merged["matches"] == merged["correspondences"] and merged["lost_percent"] == 0
    assert merged["mean_shift_px"] == 0 and merged["matched_once_percent"] == 100

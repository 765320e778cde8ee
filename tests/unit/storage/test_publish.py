"""Published folders: complete alone, replaced whole, never symbolic links."""

import errno
import shutil

import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.errors import StorageError
from trigpoint.storage.atomic import remove
from trigpoint.storage.features import FeatureReader, FeatureWriter, link_shards
from trigpoint.storage.matches import MatchReader, MatchWriter, gather_matches
from trigpoint.storage.publish import publish
from trigpoint.types import Features, Matches

RUNS = ["sift", "disk"]


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work" / "demo"
    for run in RUNS:
        write_run(folder / run)
    (folder / "disk" / "poses.txt").write_text("q 1 0 0 0 0 0 0\n")
    (folder / "disk" / "submissions").mkdir()
    (folder / "disk" / "submissions" / "day.txt").write_text("q 1 0 0 0 0 0 0\n")
    (folder / "report" / "figures").mkdir(parents=True)
    (folder / "report" / "report.html").write_text("<html>")
    (folder / "report" / "figures" / "1.svg").write_text("<svg>")
    return folder


def write_run(folder):
    rows = np.ones((3, 2), np.float32)
    for image in ("a", "b"):
        with FeatureWriter(folder / "features" / f"{image}.h5", {}) as writer:
            writer.write(image, Features(rows, rows, rows[:, 0], (8, 8)))
    (folder / "features" / "1-of-9.h5").write_text("of an older run with other shards")
    link_shards([folder / "features" / "a.h5", folder / "features" / "b.h5"], folder / "features.h5")
    with MatchWriter(folder / "shard.h5", {}) as writer:
        writer.write("a", "b", Matches(np.ones((2, 2), np.int32), np.ones(2)))
    gather_matches([folder / "shard.h5"], folder / "matches.h5")
    (folder / "model").mkdir()
    (folder / "model" / "images.bin").write_bytes(b"model")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def options(work, output):
    return ["--report", str(work / "report"), "--work", str(work), "--output", str(output)]


def check_usable_alone(results, work):
    shutil.rmtree(work)
    with FeatureReader(results / "disk" / "features.h5") as reader:
        assert [len(reader.read(name)) for name in reader.names()] == [3, 3]
    with MatchReader(results / "disk" / "matches.h5") as reader:
        assert len(reader.read("a", "b")) == 2
    assert not any(path.is_symlink() for path in results.rglob("*"))


def test_all_parts_are_there_and_usable_alone(tmp_path, work):
    results = tmp_path / "results" / "demo"
    results.mkdir(parents=True)
    (results / "old.txt").write_text("of the last time")
    assert main(["publish", *options(work, results), "--runs", *RUNS]) == 0
    run = ["features.h5", "features/a.h5", "features/b.h5", "matches.h5", "model/images.bin"]
    expected = [f"{name}/{part}" for name in RUNS for part in run]
    assert files(results) == sorted(
        [*expected, "disk/poses.txt", "submissions/day.txt", "figures/1.svg", "report.html"]
    )
    assert (results / "disk" / "matches.h5").samefile(work / "disk" / "matches.h5")
    assert list(results.parent.iterdir()) == [results]
    check_usable_alone(results, work)


def test_no_runs(tmp_path, work):
    assert main(["publish", *options(work, tmp_path / "out"), "--runs"]) == 0
    assert files(tmp_path / "out") == ["figures/1.svg", "report.html"]


def test_copies_where_links_are_refused(tmp_path, work, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    publish(work / "report", work, RUNS, tmp_path / "results")
    assert not (tmp_path / "results" / "disk" / "matches.h5").samefile(work / "disk" / "matches.h5")
    check_usable_alone(tmp_path / "results", work)


def test_symbolic_links_become_files(tmp_path, work):
    (work / "sift" / "matches.h5").rename(tmp_path / "elsewhere.h5")
    (work / "sift" / "matches.h5").symlink_to(tmp_path / "elsewhere.h5")
    publish(work / "report", work, RUNS, tmp_path / "results")
    check_usable_alone(tmp_path / "results", work)


@pytest.mark.parametrize(
    "missing", ["demo/sift/model", "demo/sift/matches.h5", "demo/sift/features/a.h5", "demo/report"]
)
def test_missing_part_leaves_the_old_results(tmp_path, work, missing, capsys):
    results = tmp_path / "results"
    publish(work / "report", work, RUNS, results)
    before = files(results)
    remove(tmp_path / "work" / missing)
    assert main(["publish", *options(work, results), "--runs", *RUNS]) == 2
    assert missing in capsys.readouterr().err
    assert files(results) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "work"]


def test_shards_outside_of_the_run_are_refused(tmp_path, work):
    link_shards([work / "sift" / "features" / "a.h5"], work / "disk" / "features.h5")
    with pytest.raises(StorageError, match=r"links to \.\./sift/features/a\.h5, outside"):
        publish(work / "report", work, ["disk"], tmp_path / "results")

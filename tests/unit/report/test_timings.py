"""Benchmark files of Snakemake, summed over shards."""

from trigpoint.report.timings import read_timings

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + text)


def test_shards_are_summed_and_memory_is_the_largest(tmp_path):
    write(tmp_path / "sift" / "extract_features" / "1-of-2.tsv", "10.5\t0:00:10\t300\t1\t1\t1\t0\t0\t90\t9.5\n")
    write(tmp_path / "sift" / "extract_features" / "2-of-2.tsv", "20\t0:00:20\t400\t1\t1\t1\t0\t0\t90\t19\n")
    write(tmp_path / "prepare.tsv", "0.3\t0:00:00\t-\t-\t-\t-\t-\t-\t-\tNA\n")
    timings = read_timings(tmp_path, ["sift"])
    assert timings["runs"]["sift"]["extract_features"] == {
        "jobs": 2,
        "wall_s": 30.5,
        "cpu_s": 28.5,
        "max_rss_mib": 400.0,
    }
    assert timings["dataset"] == {"prepare": {"jobs": 1, "wall_s": 0.3}}


def test_other_runs_are_no_rules_of_the_dataset(tmp_path):
    write(tmp_path / "disk" / "map.tsv", "1\t0:00:01\t1\t1\t1\t1\t0\t0\t1\t1\n")
    assert read_timings(tmp_path, ["sift"])["dataset"] == {}


def test_a_missing_folder_has_no_timings(tmp_path):
    assert read_timings(tmp_path / "none", ["sift"]) == {"runs": {}, "dataset": {}}

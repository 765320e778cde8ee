"""The report of a benchmark of image pairs, by the dataset's layout."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trigpoint.errors import StorageError
from trigpoint.evaluation.pair_benchmarks import load
from trigpoint.report.benchmark import BenchmarkReport, metrics_and_origin, write_benchmark_report
from trigpoint.report.page import run_colors
from trigpoint.report.timings import read_timings
from trigpoint.types import Dataset

# (metrics.json of the dataset, run -> colour, files with other methods' results) -> what the page shows; a reporter may
# add to the metrics what it read from the files.
Reporter = Callable[[dict[str, Any], dict[str, str], Sequence[Path]], BenchmarkReport]
REPORTERS = {  # layout -> reporter
    "hpatches": "trigpoint.report.hpatches:report",
    "relative_pose": "trigpoint.report.relative_pose:report",
    "imc": "trigpoint.report.imc:report",
}


def write_pair_report(
    dataset: Dataset,
    work: Path,
    benchmarks: Path,
    runs: Sequence[str],
    left_out: Sequence[str],
    cached: Sequence[Path],
    settings: dict[str, Any],
    output: Path,
) -> None:
    """Write the report's folder, whole or not at all; a run's table of pairs becomes `<run>/pairs.csv` in it.

    Args:
        dataset: its layout is a key of REPORTERS.
        cached: files with results of other methods, in the benchmark's own format.
        others: as `build.write_report` has them.

    Raises:
        EmptyResultError: no runs.
        StorageError: a file of a run is missing or damaged.
        DataError: a cached file cannot be read.
    """
    metrics, origin = metrics_and_origin(dataset, work, runs, left_out, settings, output)
    reporter: Reporter = load(REPORTERS[dataset.layout])
    report = reporter(metrics, run_colors(metrics), cached)
    report.files.update({f"{run}/pairs.csv": _text(work / run / "pairs.csv") for run in runs})
    summary = {run: {dataset.layout: without_lists(values[dataset.layout])} for run, values in metrics["runs"].items()}
    write_benchmark_report(dataset, metrics, summary, read_timings(benchmarks, list(runs)), origin, report, output)


def without_lists(values: dict[str, Any]) -> dict[str, Any]:
    """The numbers for the table of runs: without `sequences`, which have rows of their own, and lists."""
    return {
        key: without_lists(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if key != "sequences" and not isinstance(value, list)
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StorageError(f"{path}: no such file; `trigpoint evaluate-pairs` writes it") from error

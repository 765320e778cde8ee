"""Benchmarks that match image pairs and have no map: the one table of them; importing this loads nothing heavy."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trigpoint.types import Dataset

if TYPE_CHECKING:
    from trigpoint.evaluation.run_matches import Pair, RunMatches


@dataclass(frozen=True)
class PairBenchmark:
    """One row of the table.

    Attributes:
        evaluator: function `(dataset, settings, pairs, matches) -> PairEvaluation` as `evaluate_pairs` calls it.
        settings: dataclass of the dataset's `evaluation:` in the configuration.
        own_pairs: the dataset says which pairs are matched; pairs of kind `auto` are those.
    """

    evaluator: str
    settings: str
    own_pairs: bool = False


@dataclass(frozen=True)
class PairEvaluation:
    """What an evaluator finds: the section of metrics.json, and one row of a table for each pair."""

    metrics: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)


# layout of the dataset -> its benchmark
PAIR_BENCHMARKS: dict[str, PairBenchmark] = {
    "hpatches": PairBenchmark(
        "trigpoint.evaluation.hpatches_run:evaluate",
        "trigpoint.evaluation.hpatches_settings:HpatchesSettings",
        own_pairs=True,
    ),
    "relative_pose": PairBenchmark(
        "trigpoint.evaluation.two_view_run:evaluate", "trigpoint.evaluation.two_view_settings:TwoViewSettings"
    ),
    "imc": PairBenchmark(  # with maps of bags beside the pairs: `trigpoint evaluate-imc` evaluates both
        "trigpoint.evaluation.imc_run:evaluate_stereo",
        "trigpoint.evaluation.imc_settings:ImcSettings",
        own_pairs=True,
    ),
}
Evaluator = Callable[[Dataset, Any, list["Pair"], "RunMatches"], PairEvaluation]


def evaluate_pairs(dataset: Dataset, settings: Any, pairs: list["Pair"], matches: "RunMatches") -> PairEvaluation:
    """The evaluation of a run by its dataset's benchmark.

    Args:
        dataset: its layout is a key of PAIR_BENCHMARKS.
        settings: of the benchmark's class.
        pairs: that the run was to match, images in this order.
        matches: open for reading.

    Raises:
        DataError: a pair without ground truth.
        StorageError: a pair that the run did not match.
    """
    evaluator: Evaluator = load(PAIR_BENCHMARKS[dataset.layout].evaluator)
    return evaluator(dataset, settings, pairs, matches)


def load(target: str) -> Any:
    """What `module:name` names."""
    module_name, name = target.split(":")
    return getattr(importlib.import_module(module_name), name)

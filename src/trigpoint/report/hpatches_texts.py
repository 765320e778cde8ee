"""Text tables of matching accuracy on HPatches, as others print them."""

from typing import Any

from trigpoint.report.tables import lookup
from trigpoint.storage.text_table import text_table

SPLITS = ("overall", "illumination", "viewpoint")
TABLE_PX = (1, 2, 3, 5, 10)
UNKNOWN = "-"


def posfeat_text(results: dict[str, dict[str, Any]]) -> str:
    """A line for each method as PoSFeat's evaluation writes it, `&` between the cells.

    Mean features of an image and mean matches of a pair to one decimal; the score of all pairs, of illumination and of
    viewpoint to three.

    Args:
        results: method -> numbers, as `MatchingAccuracy.summary` has them; what is unknown is a dash.
    """
    columns = [("features/mean", 1), ("overall/matches", 1), *((f"{split}/score", 3) for split in SPLITS)]
    lines = [
        " & ".join([name, *(_number(values, key, decimals) for key, decimals in columns)])
        for name, values in results.items()
    ]
    return "".join(f"{line}\n" for line in lines)


def mma_text(results: dict[str, dict[str, Any]]) -> str:
    """A table of features, matches and accuracies at 1, 2, 3, 5 and 10 px, in columns of equal width."""
    head = ["method", "features", "matches a / i / v"]
    head += [f"{split} {'/'.join(map(str, TABLE_PX))} px" for split in ("all", *SPLITS[1:])]
    rows = [
        [
            name,
            _number(values, "features/mean", 0),
            " / ".join(_number(values, f"{split}/matches", 0) for split in SPLITS),
            *(" ".join(_number(values, f"{split}/accuracy/{px}", 4) for px in TABLE_PX) for split in SPLITS),
        ]
        for name, values in results.items()
    ]
    return text_table([head, *rows])


def _number(values: dict[str, Any], key: str, decimals: int) -> str:
    value = lookup(values, key)
    return UNKNOWN if value is None else f"{value:.{decimals}f}"

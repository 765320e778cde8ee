"""The columns of HPatches' tables: those over all pairs, and beside them those by kind of sequence."""

from collections.abc import Sequence

from trigpoint.report.tables import Column

SPLITS = {"overall": "all", "illumination": "illum.", "viewpoint": "viewp."}
WITHIN = "mean over the pairs of the share of matches within"
_CORNERS = "homographies whose corners are off by at most"

D2NET = (
    Column("overall/pairs", "pairs"),
    Column("features/mean", "features", 1, help="of an image, mean"),
    Column("overall/matches", "matches", 1, help="of a pair, mean"),
    *(Column(f"overall/accuracy/{t}", f"MMA@{t}", 4, "most", help=f"{WITHIN} {t} px") for t in (1, 2, 3, 5, 10)),
    *(
        Column(f"{split}/score", f"score {title}", 3, "most", help="PoSFeat's MMAscore: small thresholds weigh more")
        for split, title in SPLITS.items()
    ),
)
D2NET_SPLITS = tuple(
    Column(f"{split}/{key}", f"{SPLITS[split]} {title}", decimals, best, help=note)  # type: ignore[arg-type]
    for split in list(SPLITS)[1:]
    for key, title, decimals, best, note in (
        ("matches", "matches", 1, "", "of a pair, mean"),
        *((f"accuracy/{t}", f"@{t}", 4, "most", f"{WITHIN} {t} px") for t in (1, 2, 3, 5, 10)),
    )
)


def _accuracies(
    prefix: str, splits: Sequence[str], thresholds: Sequence[int], decimals: int, note: str
) -> tuple[Column, ...]:
    return tuple(
        Column(f"{prefix}/{split}/accuracy/{t}", f"{SPLITS[split]} @{t}", decimals, "most", help=f"{note} {t} px")
        for split in splits
        for t in thresholds
    )


KINDS = ("illumination", "viewpoint")
ALL, BY_KIND = "over all pairs", "by kind of sequence"
# part of the title -> columns
MATCHING = {
    ALL: (
        Column("matching/overall/pairs", "pairs"),
        Column("features/mean", "features", help="of both images of a pair, mean"),
        Column("matching/overall/matches", "matches", help="of a pair, mean"),
        *_accuracies("matching", ["overall"], (1, 2, 3, 5, 10), 4, WITHIN),
    ),
    BY_KIND: _accuracies("matching", KINDS, (1, 3, 5, 10), 4, WITHIN),
}
HOMOGRAPHY = {
    ALL: (
        Column("homography/overall/failed", "failed", best="least", help="pairs without an estimate"),
        *_accuracies("homography", ["overall"], (1, 3, 5, 10), 3, f"share of {_CORNERS}"),
        *(
            Column(f"homography/overall/auc_percent/{t}", f"AUC@{t} %", 1, "most", help="area under the recall curve")
            for t in (1, 3, 5, 10)
        ),
    ),
    BY_KIND: _accuracies("homography", KINDS, (1, 3, 5, 10), 3, f"share of {_CORNERS}"),
}
_IME_AREA = "area under the curve over all pairs, 1 to 10 px"
IME = {
    "mma": {
        ALL: (
            Column("mma/overall/pairs", "pairs"),
            Column("mma/overall/features", "features", 1, help="of both images of a pair, mean"),
            Column("mma/overall/matches", "matches", 1, help="of a pair, mean"),
            *_accuracies("mma", ["overall"], (1, 3, 5, 10), 2, WITHIN),
            Column("mma/overall/auc_percent", "AUC %", 1, "most", help=_IME_AREA),
        ),
        BY_KIND: _accuracies("mma", KINDS, (1, 3, 5, 10), 2, WITHIN),
    },
    "homography": {
        ALL: (
            Column("homography/overall/inliers", "inliers", 1, help="of a pair, mean"),
            *_accuracies("homography", ["overall"], (1, 3, 5, 10), 2, f"share of {_CORNERS}"),
            Column("homography/overall/auc_percent", "AUC %", 1, "most", help=_IME_AREA),
        ),
        BY_KIND: _accuracies("homography", KINDS, (1, 3, 5, 10), 2, f"share of {_CORNERS}"),
    },
}

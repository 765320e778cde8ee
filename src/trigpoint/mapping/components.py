"""What a database's pairs connect, and why an image is not in the map."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from trigpoint.storage.colmap import DatabaseSummary
from trigpoint.storage.text_table import text_table

Pair = tuple[str, str]
# Why an image is not in the map, by what it fell short of first; `component`: its verified pairs do not lead to the
# map, or it is in another model; `not registered`: they do, but the mapper found no pose.
REASONS = ("no pairs", "no keypoints", "no matches", "no verified pairs", "component", "not registered")


def connected_components(names: Iterable[str], pairs: Iterable[Pair]) -> list[set[str]]:
    """Sets of names that pairs join directly or through others; the largest first, equals by their first name."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for name0, name1 in pairs:
        parent[root(name0)] = root(name1)
    groups: dict[str, set[str]] = {}
    for name in parent:
        groups.setdefault(root(name), set()).add(name)
    return sorted(groups.values(), key=lambda group: (-len(group), min(group)))


def diagnosis(summary: DatabaseSummary) -> str:
    """One line that says where the images got lost: counts of images, keypoints, pairs, matches and verified pairs."""
    if not summary.images:
        return "the database holds no images"
    keypoints = sorted(summary.num_keypoints.values())
    counts = sorted(summary.matches.values())
    parts = [f"{len(keypoints)} images ({keypoints[len(keypoints) // 2]} keypoints in the median)"]
    median = f" ({counts[len(counts) // 2]} matches in the median, {counts[-1]} at most)" if counts else ""
    parts.append(f"{len(counts)} pairs{median}")
    parts.append(f"{len(summary.inliers)} verified")
    largest = len(connected_components(summary.images, summary.inliers)[0])
    parts.append(f"largest connected group of {largest} images")
    return ", ".join(parts)


def diagnosis_table(summary: DatabaseSummary, most: int = 30) -> list[str]:
    """Lines of two tables: how many images got lost for which reason, and an image each where it got lost.

    Args:
        summary: of the database.
        most: images listed, the best connected first; how many more there are is said in the last line.
    """
    rows = unregistered(summary, (), ())
    reasons = Counter(row["reason"] for row in rows)
    counts = [("images", "reason"), *((str(reasons[reason]), reason) for reason in REASONS if reasons[reason])]
    head = ("image", "keypoints", "pairs (most matches)", "verified pairs (most matches)", "group (images)")
    images = [
        (
            row["name"],
            str(row["keypoints"]),
            f"{row['pairs']} ({row['most_matches']})" if row["pairs"] else "0",
            f"{row['verified_pairs']} ({row['most_inliers']})" if row["verified_pairs"] else "0",
            f"{row['group']} ({row['group_images']})",
        )
        for row in sorted(rows, key=lambda row: (row["group"], row["name"]))[:most]
    ]
    more = [f"and {len(rows) - most} more images"] if len(rows) > most else []
    return [*text_table(counts).splitlines(), "", *text_table([head, *images]).splitlines(), *more]


def unregistered(
    summary: DatabaseSummary, registered: Collection[str], elsewhere: Collection[str]
) -> list[dict[str, Any]]:
    """Why each image is outside the map, sorted by name.

    Args:
        summary: of the database that was mapped.
        registered: images of the map.
        elsewhere: images of other components that were reconstructed.

    Returns:
        Rows of `name`, `reason` (one of REASONS), `keypoints`, `pairs` that were matched and the `most_matches` of
        one, `verified_pairs` and the `most_inliers` of one, `group` of images that verified pairs connect (0 is the
        largest) and its size `group_images`.
    """
    groups = connected_components(summary.images, summary.inliers)
    group_of = {name: number for number, group in enumerate(groups) for name in group}
    of_map = {group_of[name] for name in registered} or {0}
    matched, verified = _by_image(summary.matches), _by_image(summary.inliers)

    def reason(name: str) -> str:
        if name not in matched:  # perhaps without keypoints for that: only images in pairs are extracted
            return "no pairs"
        if not summary.num_keypoints.get(name, 0):
            return "no keypoints"
        if not max(matched[name]):
            return "no matches"
        if name not in verified:
            return "no verified pairs"
        return "component" if group_of[name] not in of_map or name in elsewhere else "not registered"

    return [
        {
            "name": name,
            "reason": reason(name),
            "keypoints": summary.num_keypoints.get(name, 0),
            "pairs": len(matched.get(name, ())),
            "most_matches": max(matched.get(name, (0,))),
            "verified_pairs": len(verified.get(name, ())),
            "most_inliers": max(verified.get(name, (0,))),
            "group": group_of[name],
            "group_images": len(groups[group_of[name]]),
        }
        for name in sorted(set(summary.images) - set(registered))
    ]


def _by_image(counts: Mapping[Pair, int]) -> dict[str, list[int]]:
    """Counts of the pairs that each image is in."""
    found: dict[str, list[int]] = {}
    for pair, count in counts.items():
        for name in pair:
            found.setdefault(name, []).append(count)
    return found

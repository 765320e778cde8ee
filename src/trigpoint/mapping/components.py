"""What a database's pairs connect, and why an image is not in the map."""

from collections.abc import Collection, Iterable

from trigpoint.storage.colmap import DatabaseSummary

Pair = tuple[str, str]


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
    """Lines of a table, an image each, that shows where every image got lost; the best connected first.

    Args:
        summary: of the database.
        most: images listed; how many more there are is said in the last line.
    """
    groups = connected_components(summary.images, summary.inliers)
    group_of = {name: number for number, group in enumerate(groups) for name in group}

    def row(name: str) -> tuple[str, ...]:
        matched = {pair: count for pair, count in summary.matches.items() if name in pair}
        inliers = [count for pair, count in summary.inliers.items() if name in pair]
        verified = f"{len(inliers)} ({max(inliers)})" if inliers else "0"
        tried = f"{len(matched)} ({max(matched.values())})" if matched else "0"
        size = len(groups[group_of[name]])
        return name, str(summary.num_keypoints.get(name, 0)), tried, verified, f"{group_of[name]} ({size})"

    names = sorted(summary.images, key=lambda name: (group_of[name], name))
    head = ("image", "keypoints", "pairs (most matches)", "verified pairs (most matches)", "group (images)")
    rows = [head, *(row(name) for name in names[:most])]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]
    return lines + ([f"and {len(names) - most} more images"] if len(names) > most else [])


def unregistered(
    summary: DatabaseSummary, registered: Collection[str], elsewhere: Collection[str]
) -> list[dict[str, str]]:
    """Name and reason of each image outside the map, sorted by name.

    Args:
        summary: of the database that was mapped.
        registered: images of the map.
        elsewhere: images of other components that were reconstructed.

    Returns:
        Rows of `name` and `reason`: `no pairs` (none listed, or none with a match), `no verified pairs`, `component`
        (reconstructed, but not connected with the map), `not registered`.
    """
    paired = {name for pair, count in summary.matches.items() if count for name in pair}
    verified = {name for pair in summary.inliers for name in pair}

    def reason(name: str) -> str:
        if name not in paired:
            return "no pairs"
        if name not in verified:
            return "no verified pairs"
        return "component" if name in elsewhere else "not registered"

    return [{"name": name, "reason": reason(name)} for name in sorted(set(summary.images) - set(registered))]

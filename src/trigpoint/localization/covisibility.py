"""Which references see the same points: a query is localized against one place at a time."""

import numpy as np


def covisibility_clusters(points_of_reference: dict[str, np.ndarray]) -> list[list[str]]:
    """Connected components of references, two of which are joined if they observe a common point.

    Args:
        points_of_reference: name -> (N,) point numbers it observes, -1 where a keypoint observes none.

    Returns:
        Lists of names in the order given; the largest first, equals in the order of their first name.

    Source: Sarlin et al., CVPR 2019, Section 3; hloc, localize_sfm.do_covisibility_clustering.
    """
    names = list(points_of_reference)
    cluster_of = dict(enumerate(range(len(names))))
    first_seen_by: dict[int, int] = {}
    for index, name in enumerate(names):
        for point in np.unique(points_of_reference[name][points_of_reference[name] >= 0]).tolist():
            other = _root(cluster_of, first_seen_by.setdefault(point, index))
            cluster_of[_root(cluster_of, index)] = other
    clusters: dict[int, list[str]] = {}
    for index, name in enumerate(names):
        clusters.setdefault(_root(cluster_of, index), []).append(name)
    order = {name: index for index, name in enumerate(names)}
    return sorted(clusters.values(), key=lambda cluster: (-len(cluster), order[cluster[0]]))


def _root(cluster_of: dict[int, int], index: int) -> int:
    while cluster_of[index] != index:
        cluster_of[index] = cluster_of[cluster_of[index]]
        index = cluster_of[index]
    return index

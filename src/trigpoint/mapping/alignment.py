"""Similarity of a map onto the reference poses, so that its metres are metres."""

import logging
from typing import Any

import numpy as np

from trigpoint.geometry.pose import umeyama
from trigpoint.mapping.settings import MappingSettings
from trigpoint.storage import colmap
from trigpoint.types import Dataset

logger = logging.getLogger(__name__)
MIN_IMAGES = 3  # a similarity has seven unknowns, a centre gives three


def align_to_reference(model: Any, dataset: Dataset, settings: MappingSettings) -> bool:
    """Move a pycolmap.Reconstruction onto the camera centres of the reference images, outliers left aside.

    Only `dataset.reference_images` are used: poses that are for evaluation must not help the map.

    Returns:
        Whether it was moved; not where fewer than three references are registered, their centres lie on a line, or no
        similarity fits three of them, which is a warning if references were there.
    """
    if settings.align_to_reference is False:
        return False
    poses = colmap.model_poses(model)
    names = sorted(set(dataset.reference_images) & set(dataset.poses) & set(poses))
    wanted = bool(dataset.reference_images) or settings.align_to_reference is True
    if len(names) < MIN_IMAGES:
        if wanted:
            logger.warning("not aligned: %d registered images have a reference pose, 3 are needed", len(names))
        return False
    targets = np.array([dataset.poses[name].center for name in names])
    if umeyama(np.array([poses[name].center for name in names]), targets) is None:
        logger.warning("not aligned: the centres of the %d reference images lie on a line", len(names))
        return False
    spread = float(np.median(np.linalg.norm(targets - targets.mean(axis=0), axis=1)))
    max_error = settings.align_max_error * spread
    if not colmap.align_to_centers(model, names, targets, max_error, settings.seed):
        logger.warning("not aligned: no similarity takes three registered images within %.3g of their pose", max_error)
        return False
    logger.info("aligned onto the centres of %d reference images", len(names))
    return True

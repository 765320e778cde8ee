"""Corners with normalised patches, upright and of one scale (after Brown, Szeliski and Winder, CVPR 2005)."""

from dataclasses import dataclass

import cv2
import numpy as np

from trigpoint.geometry.pixels import resize_points
from trigpoint.methods.base import FeatureMethod
from trigpoint.settings import check_number
from trigpoint.types import Features, Image

OFFSETS = np.mgrid[-18:19:5, -18:19:5].reshape(2, 1, -1)  # 8 x 8 samples, 5 px apart


@dataclass(frozen=True, kw_only=True)
class MopsSettings:
    """Defaults are OpenCV's, but for the number of corners."""

    max_keypoints: int = 2048  # those with the strongest corners
    min_distance_px: float = 3.0  # between corners

    def __post_init__(self) -> None:
        check_number("mops", "max_keypoints", self.max_keypoints, 1)
        check_number("mops", "min_distance_px", self.min_distance_px, 1)


class Mops(FeatureMethod):
    name = "mops"
    Settings = MopsSettings

    def extract(self, image: Image) -> Features:
        grey = cv2.cvtColor(image.pixels, cv2.COLOR_RGB2GRAY)
        corners = cv2.goodFeaturesToTrack(grey, self.settings.max_keypoints, 0.01, self.settings.min_distance_px)
        xy = np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)
        x, y = xy.astype(int).T
        strength = cv2.cornerMinEigenVal(grey, 3)[y, x]
        rows, columns = np.clip(y[:, None] + OFFSETS[0], 0, None), np.clip(x[:, None] + OFFSETS[1], 0, None)
        rows, columns = np.minimum(rows, len(grey) - 1), np.minimum(columns, len(grey[0]) - 1)
        patches = cv2.GaussianBlur(grey, (0, 0), 2.5)[rows, columns].astype(np.float32)
        patches -= patches.mean(axis=1, keepdims=True)
        patches /= np.maximum(np.linalg.norm(patches, axis=1, keepdims=True), 1e-6)
        xy = resize_points(xy, image.pixels.shape[1::-1], image.size)
        return Features(xy, patches, strength.astype(np.float32), image.size)

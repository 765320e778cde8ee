"""A posed view of a scene as training sees it: depth at keypoints, their place in another view, epipolar lines.

Torch on the views' device. Pixels count from the centre of the top-left one; poses are camera from world. What `legacy`
brings back is half a pixel lost when an image is scaled, and depth read at truncated coordinates.

Source: cvlab-epfl/disk, its images with calibration and depth, and its epipolar distance.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from trigpoint.geometry.pixels import HALF_PIXEL
from trigpoint.networks.preprocessing import fill_frame


@dataclass(frozen=True)
class View:
    """One image with its calibration.

    Attributes:
        image: (C, H, W) float.
        K: (3, 3) calibration.
        rotation: (3, 3); `translation`: (3,), camera from world.
        depth: (H, W) along the optical axis, NaN where unknown; None: nowhere known.
    """

    image: Tensor
    K: Tensor
    rotation: Tensor
    translation: Tensor
    depth: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.image.shape[2], self.image.shape[1]

    def scaled(self, frame: tuple[int, int], *, legacy: bool = False) -> "View":
        """The view scaled up or down, bilinearly, until one side is that of the frame (width, height)."""
        (width, height), factor = fill_frame(self.size, frame)
        shift = 0.0 if legacy else HALF_PIXEL * (factor - 1)
        scaling = torch.tensor([[factor, 0, shift], [0, factor, shift], [0, 0, 1]], dtype=self.K.dtype)
        depth = None if self.depth is None else _resized(self.depth[None], (height, width))[0]
        return replace(
            self, image=_resized(self.image, (height, width)), K=scaling.to(self.K.device) @ self.K, depth=depth
        )

    def padded(self, frame: tuple[int, int]) -> "View":
        """The view with zeros on the right and at the bottom up to a frame (width, height), where depth is unknown."""
        added = (0, frame[0] - self.size[0], 0, frame[1] - self.size[1])
        depth = None if self.depth is None else functional.pad(self.depth, added, value=torch.nan)
        return replace(self, image=functional.pad(self.image, added), depth=depth)

    def contains(self, xy: Tensor) -> Tensor:
        """(N,) whether pixels (N, 2) lie in [0, width) x [0, height); not so for NaN."""
        limits = torch.tensor(self.size, device=xy.device)
        return ((xy >= 0) & (xy < limits)).all(dim=1)

    def depth_at(self, xy: Tensor, *, legacy: bool = False) -> Tensor:
        """(N,) depth of the pixel nearest to each of (N, 2); NaN outside of the image and where it is unknown.

        Args:
            legacy: of the pixel at the truncated coordinates.
        """
        found = torch.full((len(xy),), torch.nan, device=xy.device)
        if self.depth is None:
            return found
        inside = self.contains(xy)
        pixels = (xy[inside] if legacy else xy[inside].round()).long()
        x, y = pixels[:, 0].clamp(max=self.size[0] - 1), pixels[:, 1].clamp(max=self.size[1] - 1)
        found[inside] = self.depth[y, x].to(found.dtype)
        return found

    def points_at(self, xy: Tensor, *, legacy: bool = False) -> Tensor:
        """(N, 3) points of the world that are seen at pixels (N, 2); NaN where the depth is."""
        rays = homogeneous(xy) @ torch.linalg.inv(self.K).T
        return (rays * self.depth_at(xy, legacy=legacy)[:, None] - self.translation) @ self.rotation

    def project(self, points: Tensor) -> Tensor:
        """(N, 2) pixels of points (N, 3) of the world, of those behind the camera too."""
        projected = (points @ self.rotation.T + self.translation) @ self.K.T
        return projected[:, :2] / projected[:, 2:]


def homogeneous(xy: Tensor) -> Tensor:
    """(N, 2) to (N, 3) with ones."""
    return torch.cat([xy, torch.ones_like(xy[:, :1])], dim=1)


def relative_pose(view0: View, view1: View) -> tuple[Tensor, Tensor]:
    """Rotation (3, 3) and translation (3,) of camera 1 from camera 0."""
    rotation = view1.rotation @ view0.rotation.T
    return rotation, view1.translation - rotation @ view0.translation


def essential_matrix(view0: View, view1: View) -> Tensor:
    """E (3, 3) with x1^T E x0 = 0 for normalized points."""
    rotation, translation = relative_pose(view0, view1)
    return _skew(translation) @ rotation


def fundamental_matrix(view0: View, view1: View) -> Tensor:
    """F (3, 3) with x1^T F x0 = 0 for pixels."""
    return torch.linalg.inv(view1.K).T @ essential_matrix(view0, view1) @ torch.linalg.inv(view0.K)


def epipolar_distances(xy0: Tensor, xy1: Tensor, F: Tensor, *, paired: bool = False) -> Tensor:
    """Signed distances of points of image 0 from the epipolar lines of points of image 1, pixels.

    Args:
        xy0: (N, 2); `xy1`: (M, 2).
        F: (3, 3), x1^T F x0 = 0; its transpose and the points the other way round give distances in image 1.
        paired: N is M, row i of both belongs together.

    Returns:
        (N, M), or (N,) if paired.
    """
    lines = homogeneous(xy1) @ F
    lengths = lines[:, :2].norm(dim=1)
    if paired:
        return (homogeneous(xy0) * lines).sum(dim=1) / lengths
    return homogeneous(xy0) @ lines.T / lengths


def _skew(vector: Tensor) -> Tensor:
    x, y, z = vector.tolist()
    return vector.new_tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]

"""Values that cross modules: images, features, correspondences, cameras, poses."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Image:
    """A decoded photograph.

    Attributes:
        name: relative to the dataset's image folder, `/` as separator.
        pixels: (H, W, 3) uint8, RGB, upright (EXIF orientation applied).
        size: (width, height) of the original, upright; larger than `pixels` if it was decoded at reduced size.
        digest: sha256 of the file's bytes, hexadecimal.
    """

    name: str
    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    digest: str = ""


@dataclass(frozen=True)
class Features:
    """Local features of one image; row i of each array belongs to keypoint i.

    Attributes:
        keypoints: (N, 2) float32, x right, y down, pixels of the original, centre of the top-left pixel at (0, 0).
        descriptors: (N, D) float32 or float16.
        scores: (N,) float32, higher is better, the scale is the method's.
        image_size: (width, height) of the original image.
    """

    keypoints: NDArray[np.float32]
    descriptors: FloatArray
    scores: NDArray[np.float32]
    image_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True)
class Matches:
    """Matches of a pair: `indices` (M, 2) int32 into the two keypoint arrays, `scores` (M,) float32, higher better."""

    indices: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Correspondences:
    """Correspondences of one pair before keypoints are shared.

    Attributes:
        xy: (M, 4) float32: x0, y0, x1, y1 in pixels of the original images.
        scores: (M,) float32, higher is better, not negative: where points are merged, scores are summed.
    """

    xy: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True)
class Camera:
    """A COLMAP camera: model name, size in pixels, parameters in COLMAP's order, top-left pixel's CORNER at (0, 0).

    `has_prior_focal_length` says that the focal length was measured (EXIF or calibration), not guessed.
    """

    model: str
    width: int
    height: int
    params: tuple[float, ...]
    has_prior_focal_length: bool = False


@dataclass(frozen=True)
class Pose:
    """cam_from_world: `x_cam = rotation @ x_world + translation`.

    Attributes:
        rotation: (3, 3) float64.
        translation: (3,) float64, in the world's unit.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @property
    def center(self) -> NDArray[np.float64]:
        """(3,) camera centre in the world."""
        return -self.rotation.T @ self.translation


@dataclass(frozen=True)
class DatasetImage:
    """One image of a prepared dataset.

    Attributes:
        name: relative to the dataset's `image_root`.
        role: `map` or `query`.
        split: of a query: `day`, `night` or another name its recall is reported under; empty for map images.
        size: (width, height), upright.
        camera: calibration given with the dataset; absent if it has to be estimated.
        camera_group: images with equal text share one camera when intrinsics are estimated.
        exif_focal_px: focal length in pixels by the photograph's EXIF; absent if it does not say.
        signature: changes when the file does (size and modification time).
    """

    name: str
    role: str
    size: tuple[int, int]
    split: str = ""
    camera: Camera | None = None
    camera_group: str = ""
    exif_focal_px: float | None = None
    signature: str = ""


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset: what `work/<dataset>/dataset.json` holds.

    Attributes:
        id: flat name.
        layout: adapter that read it: `photos`, `aachen`, `eth_lfb`.
        image_root: folder that image names are relative to.
        images: usable images, sorted by name.
        unusable: (name, reason) of images that cannot be used.
        poses: ground-truth or reference poses by image name; absent ones are unknown.
        pose_unit: `metre`, or `arbitrary` if distances have no scale.
        reference_images: names whose pose may be USED (mapping onto a reference model), not only evaluated against.
        pairs_path: pair list that came with the dataset, or empty.
        pairs: pairs of images that the dataset is evaluated on, if it says so, in its order; unusable images too.
        homographies: true map of a pair's first image to its second (3, 3), where the scene is a plane.
        licence: text, or empty if unknown.
        published: published results for the report: rows of {"method", "source", metric: value}.
        submission: file name of the benchmark's submission, with `{run}` in it; empty if there is none.
    """

    id: str
    layout: str
    image_root: str
    images: tuple[DatasetImage, ...]
    unusable: tuple[tuple[str, str], ...] = ()
    poses: dict[str, Pose] = field(default_factory=dict)
    pose_unit: str = "arbitrary"
    reference_images: tuple[str, ...] = ()
    pairs_path: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    homographies: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)
    licence: str = ""
    published: tuple[dict[str, object], ...] = ()
    submission: str = ""

    def with_role(self, role: str) -> tuple[DatasetImage, ...]:
        """Images of one role, sorted by name."""
        return tuple(image for image in self.images if image.role == role)

    def calibration_digest(self) -> str:
        """Hexadecimal sha256 that changes when an image's name, role or camera does, a pose or a homography."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(repr((image.name, image.role, image.split, image.camera, image.camera_group)).encode())
        for name, pose in sorted(self.poses.items()):
            digest.update(repr((name, pose.rotation.tolist(), pose.translation.tolist())).encode())
        digest.update(repr((self.reference_images, self.pose_unit)).encode())
        for pair, H in sorted(self.homographies.items()):
            digest.update(repr((pair, H.tolist())).encode())
        return digest.hexdigest()

"""Which camera an image gets in the database: the dataset's calibration, or a start to estimate from."""

from pathlib import PurePosixPath

from trigpoint.errors import DataError
from trigpoint.mapping.settings import ImportSettings
from trigpoint.storage.colmap import check_camera_model, guessed_camera
from trigpoint.types import Camera, DatasetImage


def assign_cameras(images: tuple[DatasetImage, ...], settings: ImportSettings) -> tuple[list[Camera], dict[str, int]]:
    """Cameras of a database and the one each image uses.

    Args:
        images: sorted by name.
        settings: with `given`, images of equal calibration share a camera; with `estimate`, as `camera_mode` says.

    Returns:
        The cameras, and image name -> index into them.

    Raises:
        DataError: an image without calibration where it should be given, or of another size than its camera.
        SettingsError: the camera model is unknown.
    """
    if settings.intrinsics == "given":
        return _share([(image.name, given_camera(image)) for image in images])
    check_camera_model(settings.camera_model)
    groups: dict[tuple[object, ...], list[DatasetImage]] = {}
    for image in images:
        groups.setdefault(_group(image, settings.camera_mode), []).append(image)
    cameras: list[Camera] = []
    camera_of: dict[str, int] = {}
    for group in groups.values():
        camera_of |= dict.fromkeys((image.name for image in group), len(cameras))
        cameras.append(_start_camera(group, settings))
    return cameras, camera_of


def given_camera(image: DatasetImage) -> Camera:
    """The calibration of an image; errors as `assign_cameras`."""
    if image.camera is None:
        raise DataError(
            f"'{image.name}' has no calibration in dataset.json; add it and run `trigpoint prepare` again,"
            " or set import: {intrinsics: estimate}"
        )
    if (image.camera.width, image.camera.height) != image.size:
        raise DataError(
            f"'{image.name}' is {image.size[0]}x{image.size[1]} px, its calibration is for"
            f" {image.camera.width}x{image.camera.height}; correct the calibration or the image"
        )
    return image.camera


def _share(named: list[tuple[str, Camera]]) -> tuple[list[Camera], dict[str, int]]:
    indices: dict[Camera, int] = {}
    camera_of = {name: indices.setdefault(camera, len(indices)) for name, camera in named}
    return list(indices), camera_of


def _group(image: DatasetImage, mode: str) -> tuple[object, ...]:
    """What images that share a camera have in common; a camera has one size, so `single` is checked later."""
    if mode == "single":
        return ("single",)
    if mode == "per_folder":
        return ("folder", str(PurePosixPath(image.name).parent), image.size)
    if mode == "auto" and image.camera_group:
        return ("group", image.camera_group, image.size)
    return ("image", image.name)


def _start_camera(group: list[DatasetImage], settings: ImportSettings) -> Camera:
    """A camera with the first focal length that stands in the group's EXIF, or a guess from the image size, as COLMAP
    does; never the dataset's calibration, which an estimate is to be compared with."""
    first = group[0]
    for image in group:
        if image.size != first.size:
            raise DataError(
                f"camera_mode single: '{image.name}' is {image.size[0]}x{image.size[1]} px,"
                f" '{first.name}' {first.size[0]}x{first.size[1]}; use camera_mode auto"
            )
    known = [image.exif_focal_px for image in group if image.exif_focal_px is not None]
    focal = known[0] if known else settings.default_focal_factor * max(first.size)
    return guessed_camera(settings.camera_model, focal, first.size, has_prior=bool(known))

"""Photographs as arrays: every kind of file becomes upright 8-bit RGB or one clear line; files are only read."""

import hashlib
import io
import logging
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ExifTags

from trigpoint.datasets.tree import image_path, image_tree_digest, list_images
from trigpoint.errors import ImageError
from trigpoint.types import Image

__all__ = ["ImageHeader", "check_image", "image_tree_digest", "list_images", "load_image", "read_header"]

MAX_PIXELS = 64_000_000  # of a decoded image: 192 MB of RGB; larger photographs are decoded at reduced size
MAX_SIDE_PX = 16_384  # the same for panoramas
MAX_DECODER_PIXELS = 800_000_000  # what a decoder may fill before reduction, 3.2 GB; JPEG is reduced while decoding
FULL_SCALE_16_BIT = 65_535
FILM_WIDTH_MM = 35.0  # COLMAP's divisor for 35 mm equivalent focal lengths, not the 36 mm of the film

# What Pillow raises on damaged files, beside its own OSError children.
_DECODE_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_TRANSPOSE = {
    2: (PIL.Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (PIL.Image.Transpose.ROTATE_180,),
    4: (PIL.Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (PIL.Image.Transpose.TRANSPOSE,),
    6: (PIL.Image.Transpose.ROTATE_270,),
    7: (PIL.Image.Transpose.TRANSVERSE,),
    8: (PIL.Image.Transpose.ROTATE_90,),
}
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_logger = logging.getLogger(__name__)


@dataclass
class _PillowLimit:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    value: int | None = None


_pillow_limit = _PillowLimit()


@dataclass(frozen=True)
class ImageHeader:
    """What a photograph says of itself.

    Attributes:
        size: (width, height), upright.
        focal_35mm: focal length in mm as on 35 mm film, from EXIF; absent if unknown.
        focal_mm: true focal length in mm, from EXIF; absent if unknown.
        camera: maker and model, or empty.
    """

    size: tuple[int, int]
    focal_35mm: float | None = None
    focal_mm: float | None = None
    camera: str = ""

    @property
    def focal_px(self) -> float | None:
        """Focal length in pixels as COLMAP reckons it from EXIF, `focal_35mm / 35 * longer side`; absent if unknown."""
        return None if self.focal_35mm is None else self.focal_35mm / FILM_WIDTH_MM * max(self.size)


def read_header(path: Path) -> ImageHeader:
    """Size and EXIF of an image file, without decoding its pixels.

    Raises:
        ImageError: the file is missing, empty, or not an image.
    """
    try:
        with path.open("rb") as stream, _open(stream, str(path)) as image:
            return _header(image, str(path))
    except OSError as error:
        raise _unreadable(str(path), error) from error


def check_image(root: Path | str, name: str) -> ImageHeader:
    """Size and EXIF of an image after decoding all of it, as cheaply as its format allows.

    Raises:
        ImageError: the image cannot be decoded whole: missing, empty, truncated, damaged, or not an image.
    """
    path = image_path(root, name)
    try:
        with path.open("rb") as stream, _open(stream, name) as image:
            full_size = image.size
            image.draft(None, (1, 1))  # JPEG: an eighth of each side; the whole file is still read
            _decode(image, name, full_size)
            header = _header(image, name, full_size)
    except OSError as error:
        raise _unreadable(name, error) from error
    return header


def load_image(root: Path | str, name: str, max_pixels: int = MAX_PIXELS) -> Image:
    """A photograph as upright 8-bit RGB.

    Grey is repeated in the three channels; 16-bit is scaled by its full range; transparent parts lie over white; of an
    animation or a multi-page file the first frame counts; the EXIF orientation is applied. An image of more than
    `max_pixels`, or with a side above MAX_SIDE_PX, is decoded at reduced size and the log says so: `pixels` is then
    smaller than `size`, with `(xy + 0.5) * scale - 0.5` between the two.

    Args:
        root: the dataset's image folder.
        name: relative to it, `/` as separator.
        max_pixels: most pixels of the decoded image.

    Raises:
        ImageError: the image cannot be used; the message names the file, the cause and the cure.
    """
    try:
        data = image_path(root, name).read_bytes()
    except OSError as error:
        raise _unreadable(name, error) from error
    with _open(io.BytesIO(data), name) as image:
        full_size = image.size
        target = reduced_size(full_size, max_pixels)
        draft = image.draft(None, target) if target != full_size else None
        _decode(image, name, full_size)
        # JPEG's own reduction: its last column may stand for fewer pixels, the box says what belongs to the photograph
        box = draft[1] if draft else (0, 0, *full_size)
        reduced = _reduce(image, name, target, box) if target != full_size else image
        orientation = _orientation(image)  # after decoding: Pillow itself turns TIFF upright and then forgets the tag
        pixels = _upright(_rgb(reduced, name), orientation)
    size = _upright_size(full_size, orientation)
    if target != full_size:
        height, width = pixels.shape[:2]
        _logger.warning("%s: %dx%d px, decoded at reduced size %dx%d", name, *size, width, height)
    return Image(name=name, pixels=pixels, size=size, digest=hashlib.sha256(data).hexdigest())


def reduced_size(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """(width, height) that an image of a given size is decoded at: unchanged, or within both limits."""
    width, height = size
    if max_pixels < 1:
        raise ImageError(f"max_pixels must be positive, got {max_pixels}")
    scale = min(1.0, MAX_SIDE_PX / max(size), (max_pixels / (width * height)) ** 0.5)
    if scale == 1.0:
        return size
    return max(1, int(width * scale)), max(1, int(height * scale))


@contextmanager
def _open(stream: BinaryIO, name: str) -> Iterator[PIL.Image.Image]:
    """Pillow's image, header read. Its own limit on pixels is off meanwhile: ours is checked before decoding."""
    with _without_pillow_limit():
        try:
            image = PIL.Image.open(stream)
        except _DECODE_ERRORS as error:
            raise ImageError(_not_an_image(stream, name)) from error
        with image:
            yield image


@contextmanager
def _without_pillow_limit() -> Iterator[None]:
    """Pillow's limit belongs to the whole process: the first thread that reads an image lifts it, the last restores."""
    with _pillow_limit.lock:
        if _pillow_limit.users == 0:
            _pillow_limit.value, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        _pillow_limit.users += 1
    try:
        yield
    finally:
        with _pillow_limit.lock:
            _pillow_limit.users -= 1
            if _pillow_limit.users == 0:
                PIL.Image.MAX_IMAGE_PIXELS = _pillow_limit.value


def _not_an_image(stream: BinaryIO, name: str) -> str:
    if stream.seek(0, io.SEEK_END) == 0:
        return f"{name}: the file is empty; copy it again or delete it"
    if name.lower().endswith((".heic", ".heif")):
        return f"{name}: HEIC cannot be decoded here; convert it to JPEG or PNG"
    return f"{name}: not an image, or its header is damaged; copy it again or delete it"


def _unreadable(name: str, error: OSError) -> ImageError:
    return ImageError(f"{name}: cannot be read ({error.strerror or error}); check the file and its permissions")


def _decode(image: PIL.Image.Image, name: str, full_size: tuple[int, int]) -> None:
    if image.width * image.height > MAX_DECODER_PIXELS:
        most = MAX_DECODER_PIXELS // 1_000_000
        size = "x".join(map(str, full_size))
        raise ImageError(f"{name}: {size} px is more than {most} million; make it smaller or save it as JPEG")
    try:
        image.load()
    except MemoryError as error:
        raise ImageError(f"{name}: no memory for {image.width}x{image.height} px; make it smaller") from error
    except _DECODE_ERRORS as error:
        raise ImageError(f"{name}: truncated or damaged ({error}); copy it again or delete it") from error


def _header(image: PIL.Image.Image, name: str, full_size: tuple[int, int] | None = None) -> ImageHeader:
    exif = _exif(image)
    try:
        details = exif.get_ifd(ExifTags.IFD.Exif)  # where the focal length lives, not in the top-level listing
    except _DECODE_ERRORS as error:
        _logger.warning("%s: damaged EXIF ignored (%s)", name, error)
        details = {}
    make, model = (_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    return ImageHeader(
        size=_upright_size(full_size or image.size, _orientation(image)),
        focal_35mm=_positive(details.get(ExifTags.Base.FocalLengthIn35mmFilm)),
        focal_mm=_positive(details.get(ExifTags.Base.FocalLength)),
        camera=" ".join(part for part in (make, model) if part),
    )


def _exif(image: PIL.Image.Image) -> PIL.Image.Exif:
    try:
        return image.getexif()
    except _DECODE_ERRORS as error:
        _logger.warning("damaged EXIF ignored (%s)", error)
        return PIL.Image.Exif()


def _orientation(image: PIL.Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, size included
    value = _exif(image).get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and value in _TRANSPOSE else 1


def _upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation in _SIDEWAYS else size


def _text(value: object) -> str:
    return " ".join(value.replace("\0", " ").split()) if isinstance(value, str) else ""


def _positive(value: object) -> float | None:
    """A positive finite number, or nothing: cameras write 0, and damaged files fractions over 0."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 < number < float("inf") else None


def _reduce(
    image: PIL.Image.Image, name: str, target: tuple[int, int], box: tuple[float, float, float, float]
) -> PIL.Image.Image:
    """The part `box` of a decoded image at the target size, antialiased."""
    if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
        image = PIL.Image.fromarray(_rgb(image, name))
    return image.resize(target, PIL.Image.Resampling.LANCZOS, box=box)


def _rgb(image: PIL.Image.Image, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of any mode."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _grey_of_deep(np.asarray(image), name)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = PIL.Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = PIL.Image.alpha_composite(white, layer)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _grey_of_deep(values: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """(H, W) uint8 of 16-bit integers by their full range, or of floats between 0 and 1."""
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ImageError(f"{name}: float pixels outside 0..1 have no known white; save it with 8 or 16 bit")
        return np.rint(values * 255).astype(np.uint8)
    if values.min() < 0 or values.max() > FULL_SCALE_16_BIT:
        raise ImageError(f"{name}: integer pixels outside 0..65535 have no known white; save it with 8 or 16 bit")
    table = np.rint(np.arange(FULL_SCALE_16_BIT + 1) * (255 / FULL_SCALE_16_BIT)).astype(np.uint8)
    return table[values.astype(np.uint16)]


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation == 1:
        return pixels
    image = PIL.Image.fromarray(pixels)
    for step in _TRANSPOSE[orientation]:
        image = image.transpose(step)
    return np.array(image)

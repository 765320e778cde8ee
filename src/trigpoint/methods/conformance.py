"""What every method promises, as checks that any package can run on its own: `trigpoint check-method NAME`.

    @pytest.mark.parametrize("check", FEATURE_CHECKS, ids=lambda check: check.__name__)
    def test_promise(check):
        check(create_method("my_method", {}))

Every check takes a ready method and raises ContractError if the promise is broken.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import ContractError
from trigpoint.methods.base import FeatureMethod, PairMethod
from trigpoint.types import Correspondences, Features, Image

CELL_PX = 4  # side of the squares of the test picture
ENLARGED = 3.0  # how much larger the original is said to be than what was decoded
SCALE_TOLERANCE_PX = 1e-3
SELF_TOLERANCE_PX = 2.0  # mean distance of the two ends where an image is matched with itself
FEATURE_SIZES = [(200, 120), (97, 131)]
PAIR_SIZES = [(64, 48), (45, 61)]
EMPTY_SIZES = [(1, 1), (5, 3), (15, 40), (1, 100), (64, 64)]


def picture(size: tuple[int, int], enlarged: float = 1.0) -> Image:
    """A picture full of corners, (width, height) px, that says its original is `enlarged` times as large."""
    width, height = size
    cells = np.random.default_rng(0).random((height // CELL_PX + 1, width // CELL_PX + 1, 3))
    pixels = np.kron(cells, np.ones((CELL_PX, CELL_PX, 1)))[:height, :width]
    original = (round(width * enlarged), round(height * enlarged))
    return Image(f"{width}x{height}.png", (pixels * 255).astype(np.uint8), original, digest=f"{width:032}{height:032}")


def flat_picture(size: tuple[int, int], grey: int) -> Image:
    """A picture (width, height) without any structure."""
    return Image("flat.png", np.full((size[1], size[0], 3), grey, dtype=np.uint8), size, digest=f"{grey:064}")


def check_features(features: Features, image: Image) -> None:
    """Shapes, types, finite values, and keypoints inside the original.

    Raises:
        ContractError: one of them is not as promised.
    """
    num = len(features.keypoints)
    _need(features.keypoints.shape == (num, 2), f"keypoints are {features.keypoints.shape}, expected (N, 2)", image)
    _need(features.keypoints.dtype == np.float32, f"keypoints are {features.keypoints.dtype}, not float32", image)
    _need(features.scores.shape == (num,), f"scores are {features.scores.shape}, expected ({num},)", image)
    _need(features.scores.dtype == np.float32, f"scores are {features.scores.dtype}, not float32", image)
    shape, dtype = features.descriptors.shape, features.descriptors.dtype
    _need(len(shape) == 2 and shape[0] == num, f"descriptors are {shape}, expected ({num}, D)", image)
    _need(dtype in (np.float16, np.float32), f"descriptors are {dtype}, not float16 or float32", image)
    _need(features.image_size == image.size, f"image_size is {features.image_size}, expected {image.size}", image)
    for name in ("keypoints", "descriptors", "scores"):
        _need(bool(np.isfinite(getattr(features, name)).all()), f"{name} are not all finite", image)
    _inside(features.keypoints, image)


def check_correspondences(found: Correspondences, image0: Image, image1: Image) -> None:
    """Shapes, types, finite values, scores not negative, and both ends inside the originals; errors as above."""
    num = len(found.xy)
    _need(found.xy.shape == (num, 4), f"xy are {found.xy.shape}, expected (M, 4)", image0)
    _need(found.xy.dtype == np.float32, f"xy are {found.xy.dtype}, not float32", image0)
    _need(found.scores.shape == (num,), f"scores are {found.scores.shape}, expected ({num},)", image0)
    _need(found.scores.dtype == np.float32, f"scores are {found.scores.dtype}, not float32", image0)
    _need(bool(np.isfinite(found.xy).all()), "xy are not all finite", image0)
    _need(bool((found.scores >= 0).all()), "scores are negative or not a number", image0)
    _inside(found.xy[:, :2], image0)
    _inside(found.xy[:, 2:], image1)


def check_name(method: object, name: str, kind: str) -> None:
    """A method is of the class that its row of the table says, and knows its own name; errors as above."""
    expected = FeatureMethod if kind == "feature" else PairMethod
    if not isinstance(method, expected):
        raise ContractError(f"{name}: is no {expected.__name__}, which its row's kind '{kind}' means")
    if method.name != name:
        raise ContractError(f"{name}: its class calls itself '{method.name}'")


def features_are_well_formed(method: FeatureMethod) -> None:
    """Features of a picture full of corners have the promised shapes and types; there are some."""
    for size in FEATURE_SIZES:
        image = picture(size)
        features = method.extract(image)
        check_features(features, image)
        _need(len(features.keypoints) > 0, "no keypoint in a picture full of corners", image)


def features_are_repeatable(method: FeatureMethod) -> None:
    """The same image gives the same bits."""
    image = picture(FEATURE_SIZES[0])
    first, second = method.extract(image), method.extract(image)
    for name in ("keypoints", "descriptors", "scores"):
        _need(np.array_equal(getattr(first, name), getattr(second, name)), f"{name} differ the second time", image)


def features_are_in_pixels_of_the_original(method: FeatureMethod) -> None:
    """An image that was decoded at reduced size has its keypoints where the original has them."""
    size = FEATURE_SIZES[0]
    image, reduced = picture(size), picture(size, ENLARGED)
    theirs = method.extract(reduced)
    check_features(theirs, reduced)
    _same_places(theirs.keypoints, _enlarged(method.extract(image).keypoints), reduced)


def images_without_structure_have_features_or_none(method: FeatureMethod) -> None:
    """Tiny and empty pictures are no error."""
    for size in EMPTY_SIZES:
        for grey in (0, 255):
            image = flat_picture(size, grey)
            check_features(method.extract(image), image)


def correspondences_are_well_formed(method: PairMethod) -> None:
    """Correspondences of two pictures have the promised shapes and types, and rows are the same points."""
    image0, image1 = (picture(size) for size in PAIR_SIZES)
    found = method.match_images(image0, image1)
    check_correspondences(found, image0, image1)
    rows = method.match_rows(image0, image1)
    _need(rows.ndim == 2 and rows.shape[1] in (4, 6), f"match_rows gives {rows.shape}, expected (M, 4 or 6)", image0)
    same = np.array_equal(rows[:, :4].astype(np.float32), found.xy)
    _need(same, "match_rows and match_images do not agree", image0)


def an_image_matches_itself(method: PairMethod) -> None:
    """Both ends are at the same place where an image is matched with itself."""
    image = picture(PAIR_SIZES[0])
    found = method.match_images(image, image)
    _need(len(found.xy) > 0, "no correspondence of a picture full of corners with itself", image)
    distance = float(np.abs(found.xy[:, :2] - found.xy[:, 2:]).max(axis=1).mean())
    _need(distance < SELF_TOLERANCE_PX, f"matched with itself, points are {distance:.1f} px apart on average", image)


def correspondences_are_repeatable(method: PairMethod) -> None:
    """The same pair gives the same bits."""
    image0, image1 = (picture(size) for size in PAIR_SIZES)
    first, second = method.match_images(image0, image1), method.match_images(image0, image1)
    _need(np.array_equal(first.xy, second.xy), "xy differ the second time", image0)
    _need(np.array_equal(first.scores, second.scores), "scores differ the second time", image0)


def correspondences_are_in_pixels_of_the_originals(method: PairMethod) -> None:
    """An image that was decoded at reduced size has its points where the original has them."""
    image0, image1, reduced = (*map(picture, PAIR_SIZES), picture(PAIR_SIZES[1], ENLARGED))
    ours, theirs = method.match_images(image0, image1), method.match_images(image0, reduced)
    check_correspondences(theirs, image0, reduced)
    _same_places(theirs.xy[:, 2:], _enlarged(ours.xy[:, 2:]), reduced)
    _same_places(theirs.xy[:, :2], ours.xy[:, :2].astype(np.float64), image0)


def images_without_structure_have_correspondences_or_none(method: PairMethod) -> None:
    """Tiny and empty pictures are no error, on either side."""
    other = picture(PAIR_SIZES[0])
    for size in EMPTY_SIZES:
        for grey in (0, 255):
            image = flat_picture(size, grey)
            for pair in ((image, other), (other, image), (image, image)):
                check_correspondences(method.match_images(*pair), *pair)


FEATURE_CHECKS: tuple[Callable[[FeatureMethod], None], ...] = (
    features_are_well_formed,
    features_are_repeatable,
    features_are_in_pixels_of_the_original,
    images_without_structure_have_features_or_none,
)
PAIR_CHECKS: tuple[Callable[[PairMethod], None], ...] = (
    correspondences_are_well_formed,
    an_image_matches_itself,
    correspondences_are_repeatable,
    correspondences_are_in_pixels_of_the_originals,
    images_without_structure_have_correspondences_or_none,
)


def _need(condition: bool, broken: str, image: Image) -> None:
    if not condition:
        raise ContractError(f"{image.name}: {broken}")


def _inside(xy: NDArray[np.floating], image: Image) -> None:
    inside = ((xy >= -0.5) & (xy <= np.array(image.size) - 0.5)).all(axis=1)
    if not inside.all():
        x, y = xy[np.flatnonzero(~inside)[0]]
        _need(False, f"({x:.1f}, {y:.1f}) lies outside the original of {image.size[0]} x {image.size[1]}", image)


def _enlarged(xy: NDArray[np.floating]) -> NDArray[np.float64]:
    return (xy.astype(np.float64) + 0.5) * ENLARGED - 0.5


def _same_places(found: NDArray[np.floating], expected: NDArray[np.float64], image: Image) -> None:
    _need(
        found.shape == expected.shape, f"{len(found)} points, expected {len(expected)}: the scale changed them", image
    )
    apart = float(np.abs(found - expected).max(initial=0.0))
    where = "the centre of the top-left pixel is (0, 0), so xy becomes (xy + 0.5) * scale - 0.5"
    _need(apart <= SCALE_TOLERANCE_PX, f"points are {apart:.3f} px off in pixels of the original; {where}", image)

"""The methods `ncnet` and `patch2pix`: sizes, conventions, filters, what is kept for further pairs, and the chain."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from trigpoint.cli import main
from trigpoint.errors import SettingsError, WeightsError
from trigpoint.export.pump_npz import read_corres
from trigpoint.methods.base import create_method, make_settings
from trigpoint.methods.patch2pix import Patch2Pix
from trigpoint.methods.patch2pix_images import network_size
from trigpoint.methods.patch2pix_settings import Patch2PixSettings
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Image

SHIFT_PX = 16  # a pooled cell


def crops(count: int, size: tuple[int, int] = (128, 80)) -> list[np.ndarray]:
    """Windows of one large texture, each `SHIFT_PX` px further to the right."""
    width, height = size
    rng = np.random.default_rng(5)
    cells = rng.integers(0, 256, (height // 4, (width + count * SHIFT_PX) // 4, 3), dtype=np.uint8)
    large = np.asarray(PIL.Image.fromarray(cells).resize((4 * cells.shape[1], 4 * cells.shape[0]), 3))
    return [np.ascontiguousarray(large[:, i * SHIFT_PX : i * SHIFT_PX + width]) for i in range(count)]


def image(pixels: np.ndarray, name: str = "a.png", enlarged: int = 1) -> Image:
    return Image(name, pixels, (enlarged * pixels.shape[1], enlarged * pixels.shape[0]), name)


@pytest.fixture(scope="module")
def create(still_patch2pix: Path) -> Callable[..., Patch2Pix]:
    """Methods that differ in what follows the images' maps alone are one that is set anew: preparing takes a second."""
    prepared: dict[tuple[object, ...], Patch2Pix] = {}

    def made(name: str = "patch2pix", **changes: object) -> Patch2Pix:
        settings = {"weights": str(still_patch2pix), **changes}
        key = (name, *(changes.get(setting) for setting in ("imsize", "ksize", "cache_mib", "legacy")))
        if key not in prepared:
            prepared[key] = create_method(name, settings)
        prepared[key].settings = make_settings(type(prepared[key]).Settings, settings, name)
        return prepared[key]

    return made


@pytest.fixture(scope="module")
def pair() -> list[Image]:
    return [image(pixels, f"{number}.png") for number, pixels in enumerate(crops(2))]


@pytest.mark.parametrize("name", ["ncnet", "patch2pix"])
def test_a_moved_texture_is_found_where_it_is(create: Callable, pair: list[Image], name: str) -> None:
    found = create(name).match_images(*pair)
    moved = found.xy[:, :2] - found.xy[:, 2:]
    assert len(found) > 25
    assert (np.abs(moved - [SHIFT_PX, 0]).max(axis=1) < 1e-3).mean() > 0.9


def test_cells_are_centred_in_our_convention(create: Callable, pair: list[Image]) -> None:
    """The centre of a cell of 8 px is half a pixel before its fifth one; the release's file says the fifth."""
    found, released = (create("ncnet", legacy=legacy).match_images(*pair) for legacy in (False, True))
    assert set(np.unique(found.xy % 8)) == {3.5} and set(np.unique(released.xy % 8)) == {4}
    np.testing.assert_array_equal(found.xy + 0.5, released.xy)


def test_images_are_described_once_for_all_their_pairs(create: Callable, pair: list[Image]) -> None:
    method, forgetful = create("ncnet", cache_mib=9), create("ncnet", cache_mib=0)
    for two in (pair, pair[::-1], (pair[0], pair[0])):
        np.testing.assert_array_equal(method.match_images(*two).xy, forgetful.match_images(*two).xy)
    assert method.images.num_computed == 2 and forgetful.images.num_computed == 6
    assert forgetful.images._bytes == 0


def test_the_cache_forgets_the_oldest(create: Callable, pair: list[Image]) -> None:
    method = create("ncnet", cache_mib=1)
    for number in range(9):
        method.images.of(image(pair[0].pixels, f"{number}"))
    each = 128 * 80 // 64 * 256 * 4
    assert len(method.images._kept) == (1 << 20) // each == method.images._bytes // each


def test_nothing_passes_where_no_score_does_but_in_the_release(create: Callable, pair: list[Image]) -> None:
    assert len(create(io_thres=0.99).match_images(*pair)) == 0
    assert len(create(io_thres=0.99, legacy=True).match_images(*pair)) > 0
    assert len(create(ncn_thres=1).match_images(*pair)) == 0
    assert len(create(mid_thres=0.99).match_images(*pair)) == 0


def test_ptmax_takes_the_best_and_the_release_repeats(create: Callable, pair: list[Image]) -> None:
    every = create("ncnet", ncn_thres=0).match_images(*pair)
    best = create("ncnet", ncn_thres=0, ptmax=5).match_images(*pair)
    assert len(best) == 5 and best.scores.min() >= np.sort(every.scores)[-5]
    assert (np.diff(best.xy[:, 0]) >= 0).all()
    drawn = create("ncnet", ncn_thres=0, ptmax=500, legacy=True).match_images(*pair)
    assert len(drawn) == 500 and len(np.unique(drawn.xy, axis=0)) == len(every)


def test_eight_proposals_are_regressed_for_each_match(create: Callable, pair: list[Image]) -> None:
    assert len(create(panc=8).match_images(*pair)) == 8 * len(create().match_images(*pair))


def test_coarse_matches_are_those_of_ncnet(create: Callable, pair: list[Image]) -> None:
    coarse = create(eval_type="coarse", ncn_thres=0.5).match_images(*pair)
    np.testing.assert_array_equal(coarse.xy, create("ncnet", ncn_thres=0.5).match_images(*pair).xy)


def test_points_are_in_pixels_of_the_originals(create: Callable, pair: list[Image]) -> None:
    found = create(imsize=64).match_images(*pair)
    larger = create(imsize=64).match_images(image(pair[0].pixels, "0.png", 2), pair[1])
    np.testing.assert_allclose(larger.xy[:, :2], 2 * (found.xy[:, :2] + 0.5) - 0.5, atol=1e-4)


def test_sizes_are_cut_to_multiples_of_pooled_cells() -> None:
    assert network_size((480, 360), 1024, 16) == (480, 352)
    assert network_size((500, 400), 480, 16) == (480, 384)
    assert network_size((500, 400), 480, 16, legacy=True) == (464, 384)  # a hair below 480 in floating point
    assert network_size((4000, 3000), None, 16) == network_size((4000, 3000), 0, 16) == (4000, 2992)
    assert network_size((2000, 15), 1000, 16)[1] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"ksize": 0},
        {"panc": 4},
        {"eval_type": "mid"},
        {"io_thres": 2},
        {"ptmax": 0},
        {"backend": "gpu"},
        {"mutual": 1},
        {"imsiz": 3},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        make_settings(Patch2PixSettings, wrong, "patch2pix")


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path))
    for name in ("ncnet", "patch2pix"):
        with pytest.raises(WeightsError, match=f"trigpoint fetch-weights {name}"):
            create_method(name, {})


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with three photographs of one texture."""
    folder = tmp_path / "photos/images"
    folder.mkdir(parents=True)
    for number, pixels in enumerate(crops(3)):
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_two_photographs_are_matched_and_drawn(photographs: Path, tmp_path: Path, still_patch2pix: Path) -> None:
    paths = [str(photographs / f"{number}.png") for number in (0, 1)]
    options = ["--method", "patch2pix", "--weights", str(still_patch2pix), "--resize", "64", "--num-threads", "1"]
    output, view = tmp_path / "c.npz", tmp_path / "view.png"
    assert main(["match", *paths, *options, "--output", str(output), "--view", str(view)]) == 0
    rows = read_corres(output)
    assert len(rows) > 0 and rows.shape[1] == 6
    assert view.stat().st_size > 1000


def test_correspondences_become_tracks(photographs: Path, tmp_path: Path, still_patch2pix: Path) -> None:
    """The shared image's keypoints are the same in both of its pairs."""
    dataset, shard = tmp_path / "dataset.json", tmp_path / "1-of-1.h5"
    root = str(photographs.parent)
    assert main(["prepare", "--dataset", "photos", "--layout", "photos", "--root", root, "--output", str(dataset)]) == 0
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("0.png 1.png\n0.png 2.png\n1.png 2.png\n")
    settings = f'{{"method": "patch2pix", "settings": {{"weights": "{still_patch2pix}"}}}}'
    given = ["--dataset", str(dataset)]
    assert main(["match-pairs", *given, "--settings", settings, "--pairs", str(pairs), "--output", str(shard)]) == 0
    files = {name: str(tmp_path / name) for name in ("features.h5", "matches.h5", "merge.json")}
    merged = ["--features", files["features.h5"], "--matches", files["matches.h5"], "--log", files["merge.json"]]
    assert main(["merge-keypoints", *given, "--shards", str(shard), *merged]) == 0
    with MatchReader(Path(files["matches.h5"])) as matches:
        found = {pair: matches.read(*pair).indices for pair in matches.pairs()}
    to_1 = dict(found["0.png", "1.png"].tolist())
    to_2 = dict(found["0.png", "2.png"].tolist())
    from_1 = dict(found["1.png", "2.png"].tolist())
    closed = [point for point in to_1.keys() & to_2.keys() if from_1.get(to_1[point]) == to_2[point]]
    assert len(closed) > 10

"""GCM as a method: known shifts, images of other sizes, what is kept in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.errors import WeightsError
from trigpoint.methods.conformance import picture
from trigpoint.methods.gcm import Gcm
from trigpoint.methods.gcm_maps import View
from trigpoint.methods.gcm_settings import GcmSettings
from trigpoint.networks.disk_unet import DiskUNet
from trigpoint.networks.r2d2_net import STUDENT, TEACHER, PatchNet
from trigpoint.types import Correspondences, Image

SHIFT = np.array([16, 16])
WIDTH, HEIGHT = 208, 160


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("student") / "student.pt"
    torch.save({"state_dict": PatchNet(STUDENT).state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("disk") / "disk.pth"
    torch.save({"disk": DiskUNet().state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def averaged(student: Path) -> Gcm:
    return Gcm(GcmSettings(model="R2D2_STU", weights=str(student)))


def shifted_pair() -> tuple[Image, Image]:
    """Two windows of one picture; a point of the first is SHIFT further left and up in the second."""
    whole = picture((WIDTH + SHIFT[0], HEIGHT + SHIFT[1])).pixels
    windows = whole[:HEIGHT, :WIDTH], whole[SHIFT[1] :, SHIFT[0] :]
    first, second = (
        Image(f"{i}.png", np.ascontiguousarray(pixels), (pixels.shape[1], pixels.shape[0]))
        for i, pixels in enumerate(windows)
    )
    return first, second


def share_right(found: Correspondences, within_px: float = 1) -> float:
    """Of the correspondences whose first end is seen in both images."""
    common = (found.xy[:, :2] >= SHIFT).all(axis=1)
    errors = np.abs(found.xy[:, 2:] - (found.xy[:, :2] - SHIFT)).max(axis=1)
    return float((errors[common] < within_px).mean())


def check_shift(found: Correspondences) -> None:
    assert len(found) > 200 and share_right(found) > 0.7
    assert len({tuple(row) for row in found.xy[:, :2].tolist()}) == len(found)  # one to one
    assert (found.scores >= 0).all() and (found.scores <= 1).all() and found.scores.std() > 0


@pytest.mark.parametrize("two_stages", [True, False])
def test_a_shift_is_found(student: Path, two_stages: bool) -> None:
    settings = GcmSettings(model="R2D2_STU", weights=str(student), enable_two_stage=two_stages)
    check_shift(Gcm(settings).match_images(*shifted_pair()))


@pytest.mark.parametrize("fine_model", ["R2D2", "DISK"])
def test_a_fine_model_takes_over_below_half_resolution(disk: Path, student: Path, fine_model: str) -> None:
    weights = {"R2D2": student, "DISK": disk}[fine_model]
    settings = GcmSettings(model="DISK", weights=str(disk), fine_model=fine_model, fine_weights_path=str(weights))
    check_shift(Gcm(settings).match_images(*shifted_pair()))


def test_without_a_fine_model_cells_are_pixels_of_the_image(disk: Path) -> None:
    settings = GcmSettings(model="DISK", weights=str(disk), fine_model=None)
    found = Gcm(settings).match_images(*shifted_pair())
    assert len(found) > 50 and share_right(found) > 0.8
    assert ((found.xy[:, :2] - 0.5) % 2 == 0).all()  # centres of cells of two pixels


def test_the_second_half_of_an_image_is_no_way_outside_it(averaged: Gcm) -> None:
    first, second = shifted_pair()
    narrow = Image("narrow.png", np.ascontiguousarray(second.pixels[:70]), (WIDTH, 70))
    found = averaged.match_images(first, narrow)
    assert len(found) > 50 and found.xy[:, 3].max() <= 69.5 and found.xy[:, 2:].min() >= -0.5


def test_a_plane_nothing_speaks_for_is_not_used(averaged: Gcm) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    first = shifted_pair()[0]
    with torch.inference_mode():
        result = averaged.matcher.match(View(first.pixels), View(noise))
    np.testing.assert_array_equal(result.H_init, np.eye(3))


def test_only_the_best_are_kept_in_their_order(student: Path, averaged: Gcm) -> None:
    everything = averaged.match_images(*shifted_pair())
    best = Gcm(GcmSettings(model="R2D2_STU", weights=str(student), max_matches=50)).match_images(*shifted_pair())
    assert len(best) == 50
    assert best.scores.min() >= np.sort(everything.scores)[-50]
    order = [everything.xy.tolist().index(row) for row in best.xy.tolist()]
    assert order == sorted(order)


@pytest.mark.parametrize("values", [{"resize_px": 72}, {"resize": 56}])
def test_smaller_images_give_pixels_of_the_originals(student: Path, values: dict[str, int]) -> None:
    found = Gcm(GcmSettings(model="R2D2_STU", weights=str(student), **values)).match_images(*shifted_pair())
    assert len(found) > 20 and share_right(found, 3) > 0.3
    assert found.xy[:, 0].max() > WIDTH - 30


def test_maps_of_an_image_are_computed_once(student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = Gcm(GcmSettings(model="R2D2_STU", weights=str(student)))
    computed: list[tuple[int, int]] = []
    compute = method.matcher.maps._backbone.forward
    monkeypatch.setattr(
        method.matcher.maps._backbone, "forward", lambda images: (computed.append(images.shape), compute(images))[1]
    )
    first, second = shifted_pair()
    fresh = method.match_images(first, second)
    assert len(computed) == 4  # the coarsest of each, then all of the first and of the warped second
    again = method.match_images(first, second)
    assert len(computed) == 5  # the warped one
    np.testing.assert_array_equal(fresh.xy, again.xy)
    none_kept = Gcm(GcmSettings(model="R2D2_STU", weights=str(student), cache_mib=0))
    np.testing.assert_array_equal(none_kept.match_images(first, second).xy, fresh.xy)


def test_the_teacher_can_be_the_fine_model(disk: Path, student: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "teacher.pt"
    torch.save({"state_dict": {f"module.{k}": v for k, v in PatchNet(TEACHER).state_dict().items()}}, path)
    methods = [
        Gcm(GcmSettings(model="DISK", weights=str(disk), fine_weights_path=str(weights))) for weights in (path, student)
    ]
    check_shift(methods[0].match_images(*shifted_pair()))
    assert methods[0].weights_sha256 != methods[1].weights_sha256


def test_other_networks_checkpoints_are_refused(filled_vgg19: Path, student: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint of R2D2"):
        Gcm(GcmSettings(weights=str(filled_vgg19), fine_weights_path=str(filled_vgg19)))
    with pytest.raises(WeightsError, match="no checkpoint of VGG19"):
        Gcm(GcmSettings(weights=str(student), fine_weights_path=str(student)))


def test_values_that_are_not_finite_are_named(tmp_path: Path) -> None:
    state = PatchNet(STUDENT).state_dict()
    state["ops.0.weight"][0, 0, 0, 0] = float("nan")
    path = tmp_path / "broken.pt"
    torch.save({"state_dict": state}, path)
    with pytest.raises(WeightsError, match="not finite"):
        Gcm(GcmSettings(model="R2D2_STU", weights=str(path))).match_images(*shifted_pair())

"""What every pair method in the table promises; a further method gets these tests for nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trigpoint.methods.base import METHODS, PairMethod, create_method
from trigpoint.methods.conformance import PAIR_CHECKS, picture
from trigpoint.networks.backbones.vgg import TAPS, Vgg19
from trigpoint.networks.pump_net import PumpNet
from trigpoint.networks.r2d2_net import STUDENT, PatchNet


def random_pump() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return PumpNet().state_dict()


def random_vgg19() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return Vgg19(TAPS).state_dict()


def random_student() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return PatchNet(STUDENT).state_dict()


# Networks whose checkpoints cannot be fetched get random weights: the promises do not depend on them.
STAND_INS: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
    "pump-stytrf": random_pump,
    "vgg19": random_vgg19,
    "gcm-student": random_student,
}
# Settings that name the checkpoints of a method that has several.
WEIGHTS_SETTINGS = {("gcm", "gcm-student"): "fine_weights_path"}
PAIR_METHODS = [name for name, entry in METHODS.items() if entry.kind == "pair" and not entry.package]


@pytest.fixture(scope="module", params=PAIR_METHODS)
def method(
    request: pytest.FixtureRequest,
    checkpoint: Callable[[str], Path],
    still_patch2pix: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> PairMethod:
    entry, settings = METHODS[request.param], {}
    for weights in entry.weights:
        if weights in ("ncnet", "patch2pix"):
            settings[entry.weights_setting] = str(still_patch2pix)
        elif weights in STAND_INS:
            path = tmp_path_factory.mktemp("weights") / f"{weights}.pt"
            torch.save(STAND_INS[weights](), path)
            settings[WEIGHTS_SETTINGS.get((request.param, weights), entry.weights_setting)] = str(path)
        else:
            checkpoint(weights)
    created = create_method(request.param, settings)
    assert isinstance(created, PairMethod) and created.name == request.param
    assert bool(created.weights_sha256) == bool(entry.weights)
    return created


@pytest.mark.parametrize("check", PAIR_CHECKS, ids=lambda check: check.__name__)
def test_methods_keep_their_promises(method: PairMethod, check: Callable[[PairMethod], None]) -> None:
    check(method)


def test_methods_find_much_where_there_is_much(method: PairMethod) -> None:
    image = picture((128, 96))
    assert len(method.match_images(image, image)) > 20

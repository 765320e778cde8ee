"""What every pair method in the table promises; a further method gets these tests for nothing."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trigpoint.methods.base import METHODS, PairMethod, create_method
from trigpoint.methods.conformance import PAIR_CHECKS, picture
from trigpoint.networks.backbones.vgg import TAPS, Vgg19
from trigpoint.networks.patch2pix_net import Patch2PixNet, RegressorConfig
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


def still_patch2pix() -> dict[str, torch.Tensor]:
    """Random features; a consensus that only enlarges scores, and regressors that move nothing and are sure."""
    torch.manual_seed(0)
    state = Patch2PixNet(RegressorConfig()).state_dict()
    for key in ("ncn.conv.0.weight", "ncn.conv.2.weight"):
        state[key].zero_()[1, 0, 0, 1, 1, 1] = 100
    for key in ("regress_mid.fc.6", "regress_fine.fc.6"):
        state[f"{key}.weight"].zero_()
        state[f"{key}.bias"].fill_(math.atanh(0.5))
    return state


# Networks whose checkpoints cannot be fetched get random weights: the promises do not depend on them.
STAND_INS: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
    "pump-stytrf": random_pump,
    "ncnet": still_patch2pix,
    "patch2pix": still_patch2pix,
    "vgg19": random_vgg19,
    "gcm-student": random_student,
}
# Settings that name the checkpoints of a method that has several.
WEIGHTS_SETTINGS = {("gcm", "gcm-student"): "fine_weights_path"}
PAIR_METHODS = [name for name, entry in METHODS.items() if entry.kind == "pair" and not entry.package]


@pytest.fixture(scope="module", params=PAIR_METHODS)
def method(
    request: pytest.FixtureRequest, checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> PairMethod:
    entry, settings = METHODS[request.param], {}
    for weights in entry.weights:
        if weights in STAND_INS:
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

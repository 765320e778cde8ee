"""What every method in the table promises; a further method gets these tests for nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trigpoint.methods.base import METHODS, FeatureMethod, create_method
from trigpoint.methods.conformance import FEATURE_CHECKS, picture
from trigpoint.networks.posfeat_net import KeypointDet, ResUNet
from trigpoint.networks.r2d2_net import STUDENT, TEACHER, ConvolutionSpec, PatchNet


def random_posfeat() -> dict[str, object]:
    torch.manual_seed(0)
    return {"backbone": ResUNet().state_dict(), "localheader": KeypointDet().state_dict()}


def random_patches(layers: tuple[ConvolutionSpec, ...]) -> dict[str, object]:
    """A network that takes most pixels for reliable and repeatable, so that local maxima are keypoints."""
    torch.manual_seed(0)
    network = PatchNet(layers)
    with torch.no_grad():
        network.sal.bias.fill_(4)
        network.clf.bias[1] += 4
    return {"state_dict": network.state_dict()}


# Networks whose checkpoints cannot be fetched get random weights: the promises do not depend on them.
STAND_INS: dict[str, Callable[[], dict[str, object]]] = {
    "posfeat": random_posfeat,
    "r2d2-wasf-n16": lambda: random_patches(TEACHER),
    "gcm-student": lambda: random_patches(STUDENT),
}
FEATURE_METHODS = [name for name, entry in METHODS.items() if entry.kind == "feature"]
MAX_KEYPOINTS = 2048


@pytest.fixture(scope="module", params=FEATURE_METHODS)
def method(
    request: pytest.FixtureRequest, checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> FeatureMethod:
    settings = {}
    for weights in METHODS[request.param].weights:
        if weights in STAND_INS:
            path = tmp_path_factory.mktemp("weights") / f"{weights}.pth"
            torch.save(STAND_INS[weights](), path)
            settings[METHODS[request.param].weights_setting] = str(path)
        else:
            checkpoint(weights)
    created = create_method(request.param, settings)
    assert isinstance(created, FeatureMethod)
    assert created.name == request.param
    return created


@pytest.mark.parametrize("check", FEATURE_CHECKS, ids=lambda check: check.__name__)
def test_methods_keep_their_promises(method: FeatureMethod, check: Callable[[FeatureMethod], None]) -> None:
    check(method)


def test_methods_find_much_where_there_is_much(method: FeatureMethod) -> None:
    assert 20 < len(method.extract(picture((200, 120)))) <= 2 * MAX_KEYPOINTS

"""GCM's settings: the release's files, what fills a null, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from trigpoint.errors import SettingsError
from trigpoint.methods.base import files_needed
from trigpoint.methods.gcm_configurations import CONFIGURATIONS
from trigpoint.methods.gcm_settings import GcmSettings

RELEASED = """#ratio_th : [-1.0, -1.0, -1.0, -1.0, -1.0]
ratio_th : [1.0, 1.0, 1.0, 1.0, 1.0]
fine_ratio : 0.6
model : 'ResNet18'
fine_model : "R2D2"
up_sample : [16, 1]
enable_two_stage : False
bidirectional : True
device : "cpu"
output_directory : None
fine_weights_path : "models\\\\trained\\\\dstl_r2d2.pt"
"""
AVERAGED = """ratio_th : [0.6, 1.0, 1.0, 1.0, 1.0, 1.0]
fine_ratio :
model : 'R2D2_STU'
fine_model :
up_sample : [16, 1]
device :
output_directory :
"""


def test_the_defaults_are_the_releases_first_configuration() -> None:
    ours, named = GcmSettings(), GcmSettings(configuration="VGG_dstlR2D2_95")
    for key in ("model", "weights", "fine_model", "fine_weights_path", "ratio_th", "fine_ratio", "up_sample"):
        assert getattr(ours, key) == getattr(named, key), key
    assert ours.enable_two_stage and ours.bidirectional and not ours.legacy


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_named_configurations_are_complete(name: str) -> None:
    settings = GcmSettings(configuration=name)
    assert settings.ratio_th is not None and len(settings.ratio_th) == settings.backbone.num_maps
    assert (settings.fine_model is None) == (settings.backbone.taps[0][0] == 1)
    assert GcmSettings(configuration=f"{name}.yml").model == settings.model


def test_a_file_of_the_release_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(RELEASED)
    settings = GcmSettings(configuration=str(path))
    assert (settings.model, settings.fine_model, settings.fine_ratio) == ("RESNET18", "R2D2", 0.6)
    assert settings.fine_weights_path == "gcm-student" and settings.enable_two_stage is False
    assert files_needed("gcm", {"configuration": str(path)}) == ["resnet18", "gcm-student", str(path)]


def test_empty_keys_of_a_file_mean_that_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "averaged.yml"
    path.write_text(AVERAGED)
    settings = GcmSettings(configuration=str(path))
    assert settings.fine_model is None and settings.fine_weights_path is None
    assert settings.ratio_th == (0.6, 1, 1, 1, 1, 1)
    assert files_needed("gcm", {"configuration": str(path)}) == ["gcm-student", str(path)]


def test_a_files_path_is_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "models/trained").mkdir(parents=True)
    (tmp_path / "models/trained/dstl_r2d2.pt").write_bytes(b"x")
    (tmp_path / "configs/mine.yml").write_text(RELEASED)
    settings = GcmSettings(configuration=str(tmp_path / "configs/mine.yml"))
    assert settings.fine_weights_path == str(tmp_path / "models/trained/dstl_r2d2.pt")


def test_settings_beside_a_configuration_win() -> None:
    settings = GcmSettings(configuration="VGG_dstlR2D2_6", fine_ratio=0.8, fine_model="vgg19", bidirectional=False)
    assert (settings.fine_ratio, settings.fine_model, settings.fine_weights_path) == (0.8, "VGG19", "vgg19")
    assert settings.bidirectional is False and settings.ratio_th == (1, 1, 1, 1, 1)


def test_a_backbone_without_a_fine_model_gives_pixels() -> None:
    coarse = GcmSettings(model="resnet18", fine_model=None)
    assert coarse.up_sample == (16, 2) and coarse.ratio_th == (0.95, 1, 1, 1, 1)
    assert GcmSettings(model="VGG19").fine_model is None
    assert files_needed("gcm", {"model": "DISK", "fine_model": "none"}) == ["disk-depth"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "VGG18"}, "did you mean 'VGG1"),
        ({"model": "SWIN_TRANSFORMER"}, "cannot be had"),
        ({"model": "R2D2", "fine_model": "R2D2"}, "stride 1; the fine model"),
        ({"model": "RESNET18", "fine_model": None, "up_sample": [16, 1]}, "would not be in pixels"),
        ({"fine_model": "SIFT"}, "no fine model is called 'SIFT'"),
        ({"ratio_th": [1, 1, 1]}, "ratio_th must be 5 numbers"),
        ({"ratio_th": [1, 1, 1, 1, "x"]}, "ratio_th must be a number"),
        ({"fine_ratio": -2}, "fine_ratio must be a number"),
        ({"up_sample": [16]}, "up_sample must be two numbers"),
        ({"up_sample": [16.5, 1]}, "whole numbers"),
        ({"down_sample": 8}, "down_sample 8 cannot work"),
        ({"resize": 8}, "resize must be a number"),
        ({"enable_two_stage": "yes"}, "enable_two_stage must be true or false"),
        ({"max_matches": 0}, "max_matches"),
        ({"configuration": "VGG_dstlR2D2_9"}, "did you mean 'VGG_dstlR2D2_95'"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        GcmSettings(**values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "holds a list"),
        ("a: [\n", "is no YAML file"),
        ("modell: x\n", "unknown key 'modell'.*did you mean 'model'"),
    ],
)
def test_files_that_are_no_configurations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        GcmSettings(configuration=str(path))

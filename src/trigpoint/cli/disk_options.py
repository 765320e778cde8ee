"""DISK's own options under their names: for users of its programs, put over the settings of our commands.

Not among them, because they have nothing to choose here: `--detection-scores` (scores are always stored), and
`match`'s `--f16`, `--u16` and `--save-threshold` (our files have one type; `trigpoint export --to disk` has all three).
"""

import argparse
from typing import Any

from trigpoint.errors import SettingsError

DESCRIPTOR_DIM = 128
CAMERA_MODELS = ("simple-pinhole", "pinhole", "simple-radial", "opencv")
# option of `detect` -> setting of disk
DETECT_SETTINGS = {
    "height": "height",
    "width": "width",
    "n": "max_keypoints",
    "window": "nms_window_px",
    "model_path": "weights",
}


def add_detect_options(parser: argparse.ArgumentParser) -> None:
    """Options of DISK's `detect`."""
    group = parser.add_argument_group("DISK's options", "under the names of its `detect`, over --settings")
    group.add_argument("--height", type=int, help="height of the network's image, with --width; a multiple of 16")
    group.add_argument("--width", type=int, help="width of the network's image, with --height; a multiple of 16")
    group.add_argument("--n", type=int, help="keep the best N keypoints of an image")
    group.add_argument("--window", type=int, help="side of the window of non-maximum suppression, odd")
    group.add_argument("--model_path", "--model-path", help="checkpoint: a file, disk-depth or save-epipolar")
    group.add_argument("--desc-dim", type=int, help="length of the descriptors; must be the checkpoint's, 128")
    group.add_argument("--f16", action="store_true", help="half-precision descriptors, which is the default here")
    group.add_argument("--image-extension", help="only images whose name ends with it")


def with_detect_options(values: dict[str, Any] | None, args: argparse.Namespace) -> dict[str, Any]:
    """Settings of extract-features with DISK's options over them; without any settings the method is disk.

    Raises:
        SettingsError: an option of DISK for another method, another descriptor length, or neither settings nor options.
    """
    given = {setting: getattr(args, name) for name, setting in DETECT_SETTINGS.items()}
    given = {setting: value for setting, value in given.items() if value is not None}
    any_option = bool(given) or args.f16 or args.desc_dim is not None or args.image_extension is not None
    if values is None and not any_option:
        raise SettingsError('extract-features: give --settings, such as {"method": "disk"}, or DISK\'s options')
    merged: dict[str, Any] = {"method": "disk"} if values is None else dict(values)
    if (given or args.desc_dim is not None) and merged.get("method") != "disk":
        raise SettingsError(f"extract-features: DISK's options do not fit method '{merged.get('method')}'")
    if args.desc_dim not in (None, DESCRIPTOR_DIM):
        raise SettingsError(f"--desc-dim {args.desc_dim}: DISK's checkpoints have descriptors of {DESCRIPTOR_DIM}")
    if given:
        merged["settings"] = {**merged.get("settings", {}), **given}
    if args.f16:
        merged["descriptor_dtype"] = "float16"
    return merged


def selected_names(names: list[str], extension: str | None) -> list[str]:
    """The images whose name ends with an extension; all of them without one.

    Raises:
        SettingsError: none does.
    """
    chosen = [name for name in names if extension is None or name.endswith(extension)]
    if names and not chosen:
        raise SettingsError(f"--image-extension {extension}: none of {len(names)} images ends with it, as {names[0]}")
    return chosen


def add_match_options(parser: argparse.ArgumentParser) -> None:
    """Options of DISK's `match`."""
    group = parser.add_argument_group("DISK's options", "under the names of its `match`, over --settings")
    group.add_argument("--rt", type=float, help="ratio test on both sides, 0.95 in its authors' use")
    group.add_argument(
        "--max-full-matrix",
        type=int,
        help="as DISK's, mistake included: more products than this (its default is 100000000) are compared in chunks,"
        " each by itself; left out, the result does not depend on how much is compared at once",
    )


def with_match_options(values: dict[str, Any] | None, args: argparse.Namespace) -> dict[str, Any]:
    """Settings of match-pairs with DISK's options over them; without any settings the matcher is DISK's.

    Raises:
        SettingsError: an option of DISK for another matcher, or neither settings nor options.
    """
    given = {"ratio": args.rt, "max_full_matrix": args.max_full_matrix}
    given = {setting: value for setting, value in given.items() if value is not None}
    if values is None and not given:
        raise SettingsError('match-pairs: give --settings, such as {"matcher": "mutual_nn"}, or DISK\'s --rt')
    merged: dict[str, Any] = {"matcher": "mutual_nn"} if values is None else dict(values)
    if given:
        if merged.get("matcher") != "mutual_nn":
            option = "--rt" if "ratio" in given else "--max-full-matrix"
            raise SettingsError(f"match-pairs: {option} is an option of the matcher mutual_nn")
        merged["settings"] = {**merged.get("settings", {}), **given}
    return merged


def add_database_options(parser: argparse.ArgumentParser) -> None:
    """Options of DISK's `h5_to_db`."""
    group = parser.add_argument_group(
        "DISK's options",
        "under the names of its `h5_to_db`, over --settings: cameras are estimated, from EXIF focal lengths where there"
        " are some (its database to the letter: trigpoint export --to colmap --legacy)",
    )
    group.add_argument("--camera-model", choices=CAMERA_MODELS, help="model of the cameras")
    group.add_argument("--single-camera", action="store_true", help="one camera for all images")


def with_database_options(values: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Settings of import-database with DISK's options over them.

    Raises:
        SettingsError: opencv without a single camera, as in the original.
    """
    merged = dict(values)
    if args.camera_model == "opencv" and not args.single_camera:
        raise SettingsError("--camera-model opencv needs --single-camera: one image does not determine the distortion")
    if args.camera_model is not None or args.single_camera:
        merged["intrinsics"] = "estimate"
    if args.camera_model is not None:
        merged["camera_model"] = args.camera_model.upper().replace("-", "_")
    if args.single_camera:
        merged["camera_mode"] = "single"
    return merged

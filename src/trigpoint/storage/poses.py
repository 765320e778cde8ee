"""Camera poses as text: `name qw qx qy qz tx ty tz` a line, cam_from_world."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trigpoint.errors import ShapeError, StorageError
from trigpoint.geometry.pose import matrix_from_quaternion, quaternion_from_matrix
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.names import quote_name
from trigpoint.storage.pairs import text_lines
from trigpoint.types import Pose

HEADER = "name qw qx qy qz tx ty tz (cam_from_world)"


def write_poses(output: str | os.PathLike[str], poses: Mapping[str, Pose], comment: str = HEADER) -> None:
    """Write poses sorted by name; a name with blanks is written as a JSON string; failed queries are simply absent."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [_line(quote_name(name), pose) for name, pose in sorted(poses.items())]
    _write_lines(output, lines)


def read_poses(path: str | os.PathLike[str]) -> dict[str, Pose]:
    """Poses by name; empty lines and lines that start with `#` are skipped.

    Raises:
        StorageError: missing file, a line without a name and seven finite numbers, a quaternion of length zero, or a
            name that comes twice.
    """
    poses: dict[str, Pose] = {}
    for number, words in text_lines(path, "`trigpoint localize` writes it"):
        if words[0] in poses:
            raise StorageError(f"{path}:{number}: a second pose of '{words[0]}'")
        poses[words[0]] = _pose(words, f"{path}:{number}")
    return poses


def write_submission(output: str | os.PathLike[str], poses: Mapping[str, Pose]) -> None:
    """Write poses the way visuallocalization.net takes them for Aachen: file names without folders, no comments.

    Raises:
        StorageError: two images differ in their folder only, so that their lines could not be told apart.

    Source: tsattler/visuallocalizationbenchmark, local_feature_evaluation/reconstruction_pipeline.py.
    """
    names: dict[str, str] = {}
    for name in sorted(poses):
        base = Path(name).name
        if base in names:
            raise StorageError(
                f"{output}: '{names[base]}' and '{name}' have the same file name, and a submission holds only that"
            )
        names[base] = name
    _write_lines(output, [_line(base, poses[name]) for base, name in sorted(names.items())])


def _line(word: str, pose: Pose) -> str:
    numbers = [*quaternion_from_matrix(pose.rotation), *pose.translation]
    return " ".join([word, *(repr(float(number)) for number in numbers)])


def _pose(words: list[str], where: str) -> Pose:
    try:
        numbers = np.array([float(word) for word in words[1:]])
        if len(numbers) != 7 or not np.isfinite(numbers).all():
            raise ValueError("seven finite numbers follow the name")
        return Pose(rotation=matrix_from_quaternion(numbers[:4]), translation=numbers[4:])
    except (ValueError, ShapeError) as error:
        raise StorageError(f"{where}: expected '{HEADER}', found '{' '.join(words)}' ({error})") from error


def _write_lines(output: str | os.PathLike[str], lines: list[str]) -> None:
    with atomic_path(output) as partial:
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

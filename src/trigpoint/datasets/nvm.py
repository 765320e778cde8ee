"""VisualSFM's NVM files, as Aachen's reference model comes: names and poses; its focal lengths and points are not read.

Source: Aachen Day-Night's `aachen_cvpr2018_db.nvm`. `NVM_V3`, an empty line, the number of cameras N, then N lines
`name focal qw qx qy qz cx cy cz distortion 0`: the rotation is world to camera, c the camera CENTRE.
"""

from pathlib import Path

import numpy as np

from trigpoint.datasets.cameras_gt import split_name
from trigpoint.datasets.text_files import fail, read_lines
from trigpoint.errors import DataError
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.types import Pose

NUM_VALUES = 10


def read_nvm_poses(path: Path) -> dict[str, Pose]:
    """Poses by image name, in the order of the file.

    Empty lines are skipped wherever they are. A blank in a name is written as a quotation mark there, and read back.

    Raises:
        DataError: no NVM file, fewer cameras than it announces, or a damaged line.
    """
    lines = read_lines(path)
    number, header = next(lines, (1, ""))
    if not header.startswith("NVM_V3"):
        raise fail(path, number, "no NVM file: it has to start with NVM_V3")
    number, text = next(lines, (number, ""))
    if not text.isdecimal():
        raise fail(path, number, "expected the number of cameras")
    count = int(text)
    poses: dict[str, Pose] = {}
    while len(poses) < count:
        number, line = next(lines, (0, ""))
        if not number:
            raise DataError(f"{path}: {len(poses)} of {count} cameras; the file is truncated, fetch it again")
        name, values = split_name(path, number, line, NUM_VALUES)
        name = name.replace('"', " ").removeprefix("./")
        if name in poses:
            raise fail(path, number, f"'{name}' has a line already")
        if not any(values[1:5]):
            raise fail(path, number, "the quaternion is zero")
        rotation = matrix_from_quaternion(values[1:5])
        poses[name] = Pose(rotation, -rotation @ np.array(values[5:8], dtype=np.float64))
    return poses

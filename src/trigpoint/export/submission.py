"""The text that visuallocalization.net takes, copied from a COLMAP model as the benchmark's own pipeline does.

Our runs write theirs from poses (`storage.poses.write_submission`); this is for models that COLMAP's programs made,
whose numbers stay as they are printed.

Source: tsattler/visuallocalizationbenchmark, local_feature_evaluation/reconstruction_pipeline.py, and PoSFeat's copy.
"""

from collections.abc import Iterable
from pathlib import Path

from trigpoint.errors import StorageError

WORDS_BEFORE_NAME = 9  # IMAGE_ID, four of the quaternion, three of the translation, CAMERA_ID


def submission_of_model(images_txt: Path, names: Iterable[str]) -> str:
    """Lines `file_name qw qx qy qz tx ty tz` of the listed images that the model has, in the model's order.

    Args:
        images_txt: a text model's `images.txt`: two lines an image, the second one (its points) perhaps empty.
        names: images to keep; those without a pose are simply absent.

    Raises:
        StorageError: a line that should begin an image does not, or two images differ in their folder only.
    """
    wanted = set(names)
    lines = [line for line in images_txt.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows: dict[str, str] = {}
    for number, line in enumerate(lines[::2], start=1):
        words = line.split(maxsplit=WORDS_BEFORE_NAME)
        if len(words) <= WORDS_BEFORE_NAME:
            raise StorageError(
                f"{images_txt}: image {number}: expected 'ID qw qx qy qz tx ty tz CAMERA name': '{line}'"
            )
        name = words[WORDS_BEFORE_NAME]
        if name not in wanted:
            continue
        file_name = name.rsplit("/", 1)[-1]
        if file_name in rows:
            raise StorageError(f"{images_txt}: two images are called '{file_name}', and a submission holds only that")
        rows[file_name] = " ".join([file_name, *words[1:8]])
    return "".join(f"{row}\n" for row in rows.values())

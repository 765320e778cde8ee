"""The folder a user opens: a finished report and what its runs made, without a second copy on the disk."""

import errno
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from trigpoint.errors import StorageError
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.features import linked_shards

RUN_PARTS = ("model", "features.h5", "matches.h5")
OPTIONAL_RUN_PARTS = ("poses.txt",)  # a dataset without queries has none
SUBMISSIONS = "submissions"  # of a run; they are published together, for whoever uploads them
# The system's words for: another device, links not allowed or not known there, too many links to one file.
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_logger = logging.getLogger(__name__)


def publish(report: Path, work: Path, runs: Sequence[str], output: Path, submissions: Sequence[Path] = ()) -> None:
    """Put report and runs into a fresh folder `output`, which replaces what was there when all is in place.

    Files are hard links, or copies where the disk has none; `output` can be moved and read without `work`.

    Args:
        report: folder whose content becomes the content of `output`.
        work: folder of the dataset, with a folder for each run.
        runs: names; of each come the COLMAP model, features with their shards, matches and poses, into a folder of its
            name, and the submission, into `submissions/`.
        output: folder.
        submissions: further folders whose files go into `submissions/`, of runs without a map.

    Raises:
        StorageError: a part of a run is missing, or its features link to a shard outside the run.
    """
    if not report.is_dir():
        raise StorageError(f"{report}: no such folder; `trigpoint report` writes it")
    parts = {run: _parts(work / run) for run in runs}
    with atomic_path(output) as partial:
        _place(report, partial)
        for run, names in parts.items():
            for name in names:
                _place(work / run / name, partial / run / name)
            if (work / run / SUBMISSIONS).is_dir():
                _place(work / run / SUBMISSIONS, partial / SUBMISSIONS)
        for folder in submissions:
            _place(folder, partial / SUBMISSIONS)
    _logger.info("%s: report and %d runs", output, len(runs))


def _parts(run: Path) -> list[str]:
    """What of a run is published, relative to it; checked before anything is written."""
    for name in RUN_PARTS:
        if not (run / name).exists():
            raise StorageError(f"{run / name}: missing; run the workflow again")
    shards = linked_shards(run / "features.h5")
    for shard in shards:
        if not (run / shard).resolve().is_relative_to(run.resolve()):
            raise StorageError(f"{run / 'features.h5'}: links to {shard}, outside of its run; gather it again")
        if not (run / shard).is_file():
            raise StorageError(f"{run / shard}: missing, but features.h5 links to it; extract features again")
    return [*RUN_PARTS, *shards, *(name for name in OPTIONAL_RUN_PARTS if (run / name).exists())]


def _place(source: Path, target: Path) -> None:
    """A file or a tree as hard links or copies, never as symbolic links; hidden files (time stamps) stay behind."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for child in sorted(source.iterdir()):
            if not child.name.startswith("."):
                _place(child, target / child.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)  # resolved: linking a symbolic link would make another one
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        _logger.debug("%s: copied, because %s", target, error.strerror)
        shutil.copy2(source, target)

"""PoSFeat's checkpoints on disk: the folder of two files that the release writes, or one file with both sections."""

import hashlib
from pathlib import Path
from typing import Any

from trigpoint.errors import WeightsError
from trigpoint.storage.weights import load_state_dict, resolve_weights, sha256_of


def read_posfeat(name_or_path: str, sections: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """State dicts by section, and the sha256 of what they were read from.

    Args:
        name_or_path: a registered name; a file with the sections; or a folder with `<section>.pth` for each, bare
            state dicts, as the release's training writes one for each epoch.
        sections: of `backbone` and `localheader` those that are needed; in a folder no other file is read.

    Raises:
        WeightsError: a file is missing or holds more than tensors.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        path = resolve_weights(name_or_path)
        return load_state_dict(path), sha256_of(path)
    content, digest = {}, hashlib.sha256()
    for section in sections:
        path = folder / f"{section}.pth"
        if not path.is_file():
            raise WeightsError(f"{path} is missing: a PoSFeat checkpoint is backbone.pth and localheader.pth")
        content[section] = load_state_dict(path)
        digest.update(sha256_of(path).encode())
    return content, digest.hexdigest()

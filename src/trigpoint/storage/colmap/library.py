"""pycolmap, checked: the one place where it is imported, so that a wrong version fails in the first second.

The project is tested against 4.2 (rigs and frames, `cam_from_world()` as a method, ignored UNDEFINED geometries);
other series rename or re-order what it relies on.
"""

import logging
from types import ModuleType
from typing import Any

from trigpoint.errors import TrigpointError

SERIES = "4.2"
UNSET = -1  # COLMAP's "not set": a random seed, all cores


def load() -> ModuleType:
    """The module pycolmap.

    Raises:
        TrigpointError: it is missing or of another series than the tested one.
    """
    try:
        import pycolmap
    except ImportError as error:
        raise TrigpointError(
            f"pycolmap cannot be imported ({error}); run: pip install 'pycolmap=={SERIES}.*'"
        ) from error
    check_version(pycolmap.__version__)
    return pycolmap


def check_version(version: str) -> None:
    """Refuse a pycolmap of another series.

    Raises:
        TrigpointError: the first two numbers of the version differ from the tested series.
    """
    if version.split(".")[:2] != SERIES.split("."):
        raise TrigpointError(
            f"pycolmap {version} is installed, this needs {SERIES}.x; run: pip install 'pycolmap=={SERIES}.*'"
        )


def seeded(options: Any, seed: int, num_threads: int) -> Any:
    """Put the seed and the thread count wherever an options object, or one inside it, leaves them open; returns it."""
    for key, value in options.todict(recursive=False).items():
        if key == "random_seed" and value == UNSET:
            setattr(options, key, seed)
        elif key in {"num_threads", "num_workers"} and value == UNSET:
            setattr(options, key, num_threads)
        elif key == "use_gpu" and value:
            setattr(options, key, False)  # the wheel has no CUDA; the numbers should not depend on the machine
        elif hasattr(value, "todict"):
            seeded(value, seed, num_threads)
    return options


def set_log_level() -> None:
    """COLMAP's own lines (glog, standard error) only with `--verbose`; warnings always."""
    logger = load().logging
    debug = logging.getLogger("trigpoint").isEnabledFor(logging.DEBUG)
    logger.minloglevel = logger.INFO if debug else logger.WARNING

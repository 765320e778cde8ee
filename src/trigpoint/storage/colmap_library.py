"""pycolmap, checked: the one place where the library is imported, so that a wrong version fails in the first second.

The project is tested against 4.2 (rigs and frames, `cam_from_world()` as a method, ignored UNDEFINED geometries);
other series rename or re-order what it relies on.
"""

from types import ModuleType

from trigpoint.errors import TrigpointError

SERIES = "4.2"


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

"""pycolmap, checked; it lives in `storage.colmap`."""

from trigpoint.storage.colmap import check_version, load

__all__ = ["check_version", "load"]

"""The adapter to pycolmap, under the name that `evaluation` and `report` import it by; it lives in `storage.colmap`."""

from trigpoint.storage.colmap import *  # noqa: F403

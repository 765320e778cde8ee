"""Errors a user can fix: the command line prints them as one line and exits with 2."""


class TrigpointError(Exception):
    """Something outside the code is wrong; the message names file, cause and cure."""


class SettingsError(TrigpointError):
    """A setting is unknown, has the wrong type or an impossible value."""


class ShapeError(TrigpointError):
    """An array has another shape or type than the function's contract says."""


class ImageError(TrigpointError):
    """An image cannot be used; the message says which and why."""


class StorageError(TrigpointError):
    """A file is missing, of another kind or version, or damaged."""


class DataError(TrigpointError):
    """A dataset's tree is incomplete or its files contradict each other."""


class ContractError(TrigpointError):
    """A method breaks a promise of its interface; the message says which."""


class WeightsError(TrigpointError):
    """A checkpoint is missing, has another checksum, or cannot be loaded safely."""


class EmptyResultError(TrigpointError):
    """A stage ended with nothing where something was due."""

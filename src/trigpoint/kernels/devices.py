"""Which device a command computes on."""

from trigpoint.errors import SettingsError

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> str:
    """`cpu` or `cuda` for one of DEVICES; `auto` takes CUDA where there is one.

    Raises:
        SettingsError: an unknown name, or CUDA is asked for and absent.
    """
    import torch

    if name not in DEVICES:
        raise SettingsError(f"device '{name}': expected one of {', '.join(DEVICES)}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise SettingsError("device 'cuda': this PyTorch finds no CUDA device; use auto or cpu")
    return "cuda"

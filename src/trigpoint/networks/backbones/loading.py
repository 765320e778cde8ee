"""A part of a published network, filled from the checkpoint of the whole."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trigpoint.errors import WeightsError

Network = TypeVar("Network", bound=nn.Module)
COUNTER = "num_batches_tracked"  # of batch normalisations: training's, and older files have none


def load_part(
    network: Network,
    checkpoint: Mapping[str, Any],
    source: str,
    *,
    name: str,
    prefixes: tuple[str, ...] = ("",),
    unused: tuple[str, ...] = (),
    rename: Callable[[str], str] = str,
) -> Network:
    """Fill a network; all of its tensors must be in the checkpoint, and what else has the prefix must be known.

    Args:
        checkpoint: names to tensors, as they are or under `state_dict`.
        source: file or name for messages.
        name: of the network, for messages.
        prefixes: of the network's names in the checkpoint; exactly one of them must fit.
        rename: from the checkpoint's names, with the prefix, to the network's.
        unused: beginnings, without the prefix, of the names of parts of the whole that the network leaves out.

    Returns:
        The network itself.

    Raises:
        WeightsError: names are missing or unknown, or shapes differ.
    """
    misfit = f"{source} is no checkpoint of {name}"
    tensors = {rename(key): tensor for key, tensor in _tensors(checkpoint, source).items()}
    wanted = {key for key in network.state_dict() if not key.endswith(COUNTER)}
    first = next(iter(network.state_dict()))
    fitting = [prefix for prefix in prefixes if prefix + first in tensors]
    if len(fitting) != 1:
        tried = " or ".join(f"'{prefix}{first}'" for prefix in prefixes)
        raise WeightsError(f"{misfit}: expected a tensor {tried}, {_found(tensors)}")
    part = {key.removeprefix(fitting[0]): tensor for key, tensor in tensors.items() if key.startswith(fitting[0])}
    missing = sorted(wanted - part.keys())
    if missing:
        raise WeightsError(f"{misfit}: {len(missing)} tensors are missing, as '{missing[0]}'")
    other = sorted(part.keys() - network.state_dict().keys())
    unknown = [key for key in other if not key.startswith(unused)]
    if unknown:
        raise WeightsError(f"{misfit}: {len(unknown)} tensors are unknown, as '{unknown[0]}'")
    _copy(network, {key: tensor for key, tensor in part.items() if key not in other}, misfit)
    return network


def _tensors(checkpoint: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    content = checkpoint.get("state_dict", checkpoint)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{source}: 'state_dict' is a {type(content).__name__}, expected names and tensors")
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}


def _found(tensors: Mapping[str, Tensor]) -> str:
    return f"found '{next(iter(tensors))}' and {len(tensors) - 1} others" if tensors else "found none"


def _copy(network: nn.Module, part: Mapping[str, Tensor], misfit: str) -> None:
    own = network.state_dict()
    for key, tensor in part.items():
        if tensor.shape != own[key].shape:
            found, expected = tuple(tensor.shape), tuple(own[key].shape)
            raise WeightsError(f"{misfit}: '{key}' is {found}, expected {expected}")
    with torch.no_grad():
        for key, tensor in part.items():
            own[key].copy_(tensor)

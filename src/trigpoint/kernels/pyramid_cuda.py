"""PUMP's pyramid by the compiled library on a GPU: level 0 never exists; torch allocates all device memory.

With 16-bit products (the default of a GPU's user is float16) levels from 1 on are stored as float16; level 0, its
arg-maxima and the scores are float32 always.
"""

import ctypes
import logging
from functools import lru_cache

import torch
from torch import Tensor

from trigpoint.errors import SettingsError
from trigpoint.kernels import library as compiled
from trigpoint.kernels.pyramid import Level, PyramidMatches, plan_levels

DTYPES = {"float32": compiled.FLOAT32, "bfloat16": compiled.BFLOAT16, "float16": compiled.FLOAT16}
POSITIONS = {"stored": compiled.STORED, "recomputed": compiled.RECOMPUTED}
FREE_SHARE = 0.9  # of the device's free memory, at most so much is taken for stored positions
_logger = logging.getLogger(__name__)
Plan = tuple[Level, ...]


def is_there() -> bool:
    """Whether the library is there with its CUDA side, and finds a device."""
    library = compiled.library_or_none()
    return library is not None and bool(library.tp_cuda_built()) and library.tp_cuda_devices() > 0


def refusal() -> str | None:
    """Why CUDA cannot be asked for by name, or None."""
    library = compiled.load_library()
    return None if library.tp_cuda_devices() > 0 else compiled.last_error(library)


def match_pyramid(
    desc0: Tensor,
    desc1: Tensor,
    *,
    levels: int,
    min_shape: int,
    power: float,
    border: float,
    dtype: str,
    positions: str,
) -> PyramidMatches:
    """`trigpoint.kernels.match_pyramid` on CUDA tensors, any strides; on the current stream of their device."""
    rules = (levels, min_shape, border)
    with torch.cuda.device(desc0.device):
        stream = torch.cuda.current_stream().cuda_stream
        return run(compiled.load_library(), desc0, desc1, rules, power, dtype, positions, stream)


def run(
    library: ctypes.CDLL,
    desc0: Tensor,
    desc1: Tensor,
    rules: tuple[int, int, float],
    power: float,
    dtype: str,
    positions: str,
    stream: int,
) -> PyramidMatches:
    """One matching by a library's tp_match_pyramid_cuda, on whatever device the tensors are; `rules` of the levels."""
    device = desc0.device
    plan, tables = _plan_on(device, (desc0.shape[1], desc0.shape[2]), (desc1.shape[1], desc1.shape[2]), *rules)
    problem = _problem(desc0, desc1, plan, tables, power, DTYPES[dtype])
    needed = _choose_positions(library, problem, positions, device)
    found = PyramidMatches.empty(desc0, desc1, len(plan))
    result = compiled.Result(*(getattr(found, field[0]).data_ptr() for field in compiled.Result._fields_))
    # torch gives this to no other work of the stream before the launches are done
    workspace = torch.empty(needed, dtype=torch.uint8, device=device)
    pointers = ctypes.c_void_p(workspace.data_ptr()), ctypes.c_void_p(stream)
    status = library.tp_match_pyramid_cuda(ctypes.byref(problem), ctypes.byref(result), *pointers)
    if status != 0:
        raise SettingsError(compiled.last_error(library))
    return found


class Tables:
    """Child weights and divisors of every level of a plan, on a device."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self._tensors = [
            (level.child_weights.to(device).contiguous(), level.divisors.to(device).contiguous()) for level in plan
        ]
        self.pointers = [(weights.data_ptr(), divisors.data_ptr()) for weights, divisors in self._tensors]


@lru_cache(maxsize=16)
def _plan_on(
    device: torch.device, grid: tuple[int, int], size: tuple[int, int], levels: int, min_shape: int, border: float
) -> tuple[Plan, Tables]:
    """The plan, and its numbers on the device, kept for the last sixteen sizes."""
    plan = plan_levels(grid, size, levels, min_shape, border)
    return plan, Tables(plan, device)


def _problem(desc0: Tensor, desc1: Tensor, plan: Plan, tables: Tables, power: float, dtype: int) -> compiled.Problem:
    """All but `positions`."""
    levels = [
        compiled.LevelStruct(*level.grid, *level.size, level.gap_next, level.gap_before, *pointers)
        for level, pointers in zip(plan, tables.pointers, strict=True)
    ]
    maps = [compiled.Map(desc.data_ptr(), *desc.shape[1:], *desc.stride()) for desc in (desc0, desc1)]
    array = (compiled.LevelStruct * max(1, len(levels)))(*levels)
    return compiled.Problem(*maps, desc0.shape[0], array, len(levels), power, dtype, compiled.STORED, 1)


def _choose_positions(library: ctypes.CDLL, problem: compiled.Problem, positions: str, device: torch.device) -> int:
    """Sets `problem.positions`; bytes of workspace. `auto`: stored where the free memory allows it, logged."""
    problem.positions = POSITIONS.get(positions, compiled.STORED)
    needed = _workspace_bytes(library, problem)
    if positions == "auto" and device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
        free -= torch.cuda.memory_allocated(device)
        if needed > FREE_SHARE * free:
            problem.positions = compiled.RECOMPUTED
            _logger.info("positions recomputed: storing them takes %d MiB, %d MiB are free", needed >> 20, free >> 20)
            return _workspace_bytes(library, problem)
    return needed


def _workspace_bytes(library: ctypes.CDLL, problem: compiled.Problem) -> int:
    needed = int(library.tp_pyramid_cuda_bytes(ctypes.byref(problem)))
    if needed < 0:
        raise SettingsError(compiled.last_error(library))
    return needed

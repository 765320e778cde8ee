"""PUMP's pyramid by the compiled library on a CPU: level 0 never exists, rings of a few patch rows do."""

import ctypes
import logging
from collections.abc import Sequence

import psutil
import torch
from torch import Tensor

from trigpoint.errors import SettingsError
from trigpoint.kernels import library as compiled
from trigpoint.kernels.pyramid import Level, LevelShape, PyramidMatches, plan_levels

DTYPES = {"float32": compiled.FLOAT32, "bfloat16": compiled.BFLOAT16}
POSITIONS = {"stored": compiled.STORED, "recomputed": compiled.RECOMPUTED}
FREE_SHARE = 0.8  # of the available memory, at most so much is taken for stored positions
_logger = logging.getLogger(__name__)


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
    """`trigpoint.kernels.match_pyramid` on CPU tensors, any strides."""
    if dtype not in DTYPES:
        raise SettingsError(f"dtype '{dtype}': on a CPU one of {', '.join(DTYPES)}")
    library = compiled.load_library()
    plan = plan_levels((desc0.shape[1], desc0.shape[2]), (desc1.shape[1], desc1.shape[2]), levels, min_shape, border)
    problem = _problem(desc0.shape[0], plan, power, dtype)
    problem.desc0, problem.desc1 = _map(desc0), _map(desc1)
    _set_weights(problem, plan)
    problem.positions = POSITIONS[choose_positions(library, problem) if positions == "auto" else positions]
    found = PyramidMatches.empty(desc0, desc1, len(plan))
    result = compiled.Result(*(getattr(found, field[0]).data_ptr() for field in compiled.Result._fields_))
    if library.tp_match_pyramid_cpu(ctypes.byref(problem), ctypes.byref(result)) != 0:
        raise SettingsError(compiled.last_error(library))
    return found


def choose_positions(library: ctypes.CDLL, problem: compiled.Problem) -> str:
    """`stored` where the available memory allows it, else `recomputed`; logged.

    Raises:
        SettingsError: neither fits.
    """
    wanted = {}
    for name, number in POSITIONS.items():
        problem.positions = number
        wanted[name] = library.tp_pyramid_cpu_bytes(ctypes.byref(problem))
    available = psutil.virtual_memory().available + library.tp_cpu_workspace_bytes()
    if wanted["recomputed"] > available:
        raise SettingsError(
            f"matching {problem.desc0.rows}x{problem.desc0.columns} patches with {problem.desc1.rows}x"
            f"{problem.desc1.columns} pixels takes {wanted['recomputed'] >> 20} MiB, {available >> 20} MiB are free: "
            "take smaller images"
        )
    chosen = "stored" if wanted["stored"] <= FREE_SHARE * available else "recomputed"
    _logger.log(
        logging.DEBUG if chosen == "stored" else logging.INFO,
        "positions %s: storing them takes %d MiB, %d MiB are free",
        chosen,
        wanted["stored"] >> 20,
        available >> 20,
    )
    return chosen


def workspace_bytes(
    channels: int,
    size0: tuple[int, int],
    size1: tuple[int, int],
    plan: Sequence[LevelShape],
    dtype: str,
    positions: str,
) -> int:
    """Bytes of workspace of one matching, exactly."""
    library = compiled.load_library()
    problem = _problem(channels, plan, 1.5, dtype)
    problem.desc0 = compiled.Map(None, *size0, 0, 0, 0)
    problem.desc1 = compiled.Map(None, *size1, 0, 0, 0)
    problem.positions = POSITIONS[positions]
    found = int(library.tp_pyramid_cpu_bytes(ctypes.byref(problem)))
    if found < 0:
        raise SettingsError(compiled.last_error(library))
    return found


def last_seconds() -> dict[str, float]:
    """Where the last matching of this thread spent its time."""
    seconds = (ctypes.c_double * 4)()
    compiled.load_library().tp_last_cpu_seconds(seconds)
    return dict(zip(("packing", "products", "levels", "read_out"), seconds, strict=True))


def free_workspace() -> None:
    """Return the memory that is kept between matchings."""
    library = compiled.library_or_none()
    if library is not None:
        library.tp_free_cpu_workspace()


def _map(desc: Tensor) -> compiled.Map:
    return compiled.Map(desc.data_ptr(), *desc.shape[1:], *desc.stride())


def _problem(channels: int, plan: Sequence[LevelShape], power: float, dtype: str) -> compiled.Problem:
    """The problem without descriptors, weights and positions."""
    levels = (compiled.LevelStruct * max(1, len(plan)))()
    for struct, level in zip(levels, plan, strict=False):
        struct.grid_rows, struct.grid_columns = level.grid
        struct.rows, struct.columns = level.size
        struct.gap_next, struct.gap_before = level.gap_next, level.gap_before
    problem = compiled.Problem()
    problem.channels = channels
    problem.levels = levels
    problem.num_levels = len(plan)
    problem.power = power
    problem.dtype = DTYPES[dtype]
    problem.threads = torch.get_num_threads()
    return problem


def _set_weights(problem: compiled.Problem, plan: Sequence[Level]) -> None:
    """The plan must live as long as the problem; its tensors are dense."""
    for number, level in enumerate(plan):
        problem.levels[number].child_weights = level.child_weights.data_ptr()
        problem.levels[number].divisors = level.divisors.data_ptr()

"""What matching a pair with PUMP takes, known from the sizes of the images before anything is computed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import psutil
import torch

from trigpoint import kernels
from trigpoint.errors import SettingsError
from trigpoint.kernels.pyramid import PyramidCost
from trigpoint.matching.pump.enumeration import is_swapped
from trigpoint.matching.pump.records import PATCH_PX
from trigpoint.matching.pump.tiles import coarse_sizes, tile_corners
from trigpoint.methods.pump_settings import MIN_TILE_PX, PumpSettings, products_dtype
from trigpoint.networks.image_transforms import reduced_size, rotated_size
from trigpoint.networks.preprocessing import fit_longer_side
from trigpoint.networks.pump_net import DESCRIPTOR_DIM

MIB = 1 << 20
NETWORK_FLOPS_PER_PX = 449_000  # counted: 60.3 GMAC for 600 x 448
NETWORK_BYTES_PER_PX = 800  # measured peak 770: the first 128 channels, their copy for the next convolution
HALF_MAP_BYTES_PER_PX = DESCRIPTOR_DIM  # float32 at a quarter of the pixels
PIXEL_MAP_BYTES_PER_PX = 4 * DESCRIPTOR_DIM
CROP_PAIRS_PER_TILE = 1.3  # of image 0; more where the matches of a tile are spread
# Rates as multiples of this machine's matrix products, measured at 300 x 200 with everything around the products.
NETWORK_RATE = 1.3
MATCHING_RATE = {"reference": 0.05, "cpu": 1.0, "cuda": 0.2}
OVERHEAD_S = 0.03  # for each pair of views
MAX_RESIZE_PX = 16_384
SAMPLE_SIDE = 1024  # of the matrices that are multiplied to learn the rate
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class PumpCost:
    """What a pair takes.

    Attributes:
        bytes: of memory beside the program itself, at the peak.
        flops: of the network and of the products.
        seconds: with the network's maps computed anew.
        num_views: pairs of views (scales, rotations, crops) that are matched.
        positions: what the largest matching keeps, `stored` or `recomputed`.
    """

    bytes: int
    flops: int
    seconds: float
    num_views: int
    positions: str


def estimate(
    settings: PumpSettings, size0: Size, size1: Size, *, memory_bytes: int | None = None, device: str = "cpu"
) -> PumpCost:
    """Memory, operations and time of a pair.

    Args:
        size0: (width, height) of image 0.
        size1: of image 1.
        memory_bytes: what there is, which decides between faster and smaller ways; None: as the settings or this
            machine have.
    """
    limit = memory_limit(settings, device) if memory_bytes is None else memory_bytes
    # the kernels know a processor's memory, which is at least CUDA's; there 16 bits are bfloat16
    dtype = "float32" if products_dtype(settings, device) == "float32" else "bfloat16"
    pairs = list(_view_pairs(settings, size0, size1))
    if not pairs:
        return PumpCost(0, 0, 0.0, 0, "stored")
    distinct = {pair[:2] for pair in pairs}
    held = HALF_MAP_BYTES_PER_PX * sum(
        {(i, _pixels(s)): _pixels(s) for pair in distinct for i, s in enumerate(pair)}.values()
    )
    chosen, matching_bytes, matching_flops = "stored", 0, 0.0
    for first, second, count in pairs:
        kept, cost = _positions(
            settings, dtype, first, second, max(0, limit - held - PIXEL_MAP_BYTES_PER_PX * _pixels(second))
        )
        chosen = kept if kept != "stored" else chosen
        matching_bytes = max(matching_bytes, cost.bytes + (PIXEL_MAP_BYTES_PER_PX + 32) * _pixels(second))
        matching_flops += cost.flops * count
    network_bytes = NETWORK_BYTES_PER_PX * max(max(_pixels(first), _pixels(second)) for first, second, _ in pairs)
    network_flops = NETWORK_FLOPS_PER_PX * sum(_pixels(s) * n for s, n in _network_passes(settings, pairs).items())
    rate = products_rate(device)
    backend = kernels.backend_in_use(device).split("-")[0]
    seconds = network_flops / (NETWORK_RATE * rate) + matching_flops / (MATCHING_RATE[backend] * rate)
    num_views = round(sum(count for *_, count in pairs))
    total = held + max(network_bytes, matching_bytes)
    return PumpCost(total, int(network_flops + matching_flops), seconds + OVERHEAD_S * num_views, num_views, chosen)


def largest_resize(memory_bytes: int, aspect: float, settings: PumpSettings, *, device: str = "cpu") -> int:
    """The largest `resize` with which two images of this width to height ratio fit into the memory; 0 if none does."""
    size = (
        (MAX_RESIZE_PX, round(MAX_RESIZE_PX / aspect))
        if aspect >= 1
        else (round(MAX_RESIZE_PX * aspect), MAX_RESIZE_PX)
    )
    return _largest(memory_bytes, size, size, settings, device)


def refuse_what_does_not_fit(
    settings: PumpSettings, size0: Size, size1: Size, limit: int, device: str, pair: str
) -> None:
    """Refuse a pair before anything is computed.

    Raises:
        SettingsError: it needs more than `limit` bytes; the message names the largest `resize` that fits.
    """
    needed = estimate(settings, size0, size1, memory_bytes=limit, device=device).bytes
    if needed <= limit:
        return
    fits = _largest(limit, size0, size1, settings, device)
    cure = f"resize {fits} is the largest that fits" if fits else "no resize fits"
    raise SettingsError(
        f"pump: {pair} at resize {_shown(settings)} needs {needed / 1e9:.2f} GB of memory, {limit / 1e9:.2f} GB are "
        f"{'free' if settings.memory_limit_mib is None else 'allowed by memory_limit_mib'}: {cure}"
    )


def memory_limit(settings: PumpSettings, device: str) -> int:
    """Bytes a pair may take: the settings' limit, else what is free now."""
    if settings.memory_limit_mib is not None:
        return settings.memory_limit_mib * MIB
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)


@lru_cache(maxsize=2)
def products_rate(device: str) -> float:
    """Operations a second of this machine's matrix products, measured once: float32, on CUDA float16."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    a, b = (torch.ones(SAMPLE_SIDE, SAMPLE_SIDE, dtype=dtype, device=device) for _ in range(2))
    product, best = a @ b, float("inf")
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(a, b, out=product)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * SAMPLE_SIDE**3 / best


def _largest(limit: int, size0: Size, size1: Size, settings: PumpSettings, device: str) -> int:
    """By bisection: memory grows with `resize`, apart from steps of whole patches."""

    def fits(px: int) -> bool:
        tried = replace(settings, resize=px)
        return estimate(tried, size0, size1, memory_bytes=limit, device=device).bytes <= limit

    most = max(*size0, *size1)
    low, high = 0, MIN_TILE_PX
    while high <= most and fits(high):  # doubling first: plans of the largest sizes take long
        low, high = high, 2 * high
    high = min(high - 1, most)
    while low and low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _positions(settings: PumpSettings, dtype: str, first: Size, second: Size, limit: int) -> tuple[str, PyramidCost]:
    """What a matching keeps within the limit, and its cost; the smaller one if neither fits."""
    choices = [settings.positions] if settings.positions != "auto" else ["stored", "recomputed"]
    for choice in choices:
        cost = _pyramid_cost(first, second, settings.min_shape, dtype, choice)
        if cost.bytes <= limit:
            break
    return choice, cost


@lru_cache(maxsize=512)
def _pyramid_cost(first: Size, second: Size, min_shape: int, dtype: str, positions: str) -> PyramidCost:
    grid = first[1] // PATCH_PX, first[0] // PATCH_PX
    pixels = second[1] // PATCH_PX * PATCH_PX, second[0] // PATCH_PX * PATCH_PX
    return kernels.estimate_pyramid(DESCRIPTOR_DIM, grid, pixels, min_shape=min_shape, dtype=dtype, positions=positions)


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def _view_pairs(settings: PumpSettings, size0: Size, size1: Size) -> Iterator[tuple[Size, Size, float]]:
    """Sizes of the images that are matched, the one with the patches first, and how often; none below a patch."""
    longer = (0, 0) if settings.recursive else settings.resize_px
    base = [fit_longer_side(s, px or None) for s, px in zip((size0, size1), longer, strict=True)]
    plan = settings.views()
    single = len(plan) == 1 and plan[0].code == 0
    for step in plan:
        views = [reduced_size(size, factor) for size, factor in zip(base, step.reductions, strict=True)]
        if not single and is_swapped(views[0], views[1], settings.swap):
            views.reverse()
        first, second = views
        if not (settings.crop_rot and step.angle_deg % 90):
            first = rotated_size(first, step.angle_deg)
        pairs = _crop_pairs(settings, first, second) if settings.recursive else [(first, second, 1.0)]
        yield from (pair for pair in pairs if min(*pair[0], *pair[1]) >= PATCH_PX)


def _crop_pairs(settings: PumpSettings, first: Size, second: Size) -> list[tuple[Size, Size, float]]:
    coarse_px, tile_px = settings.resize_px
    sides = coarse_sizes(first, second, coarse_px)
    coarse = [fit_longer_side(size, side or None) for size, side in zip((first, second), sides, strict=True)]
    num_tiles = len(tile_corners(first[0], tile_px, settings.rec_overlap))
    num_tiles *= len(tile_corners(first[1], tile_px, settings.rec_overlap))
    tiles = [(min(size[0], tile_px), min(size[1], tile_px)) for size in (first, second)]
    return [(coarse[0], coarse[1], 1.0), (tiles[0], tiles[1], CROP_PAIRS_PER_TILE * num_tiles)]


def _network_passes(settings: PumpSettings, pairs: list[tuple[Size, Size, float]]) -> dict[Size, float]:
    """How often the network sees images of a size: each turned view and crop of the first, the second once a scale."""
    passes: dict[Size, float] = {}
    seconds: set[Size] = set()
    for first, second, count in pairs:
        passes[first] = passes.get(first, 0.0) + count
        if settings.recursive or second not in seconds:
            passes[second] = passes.get(second, 0.0) + count
        seconds.add(second)
    return passes


def _shown(settings: PumpSettings) -> str:
    return "x".join(str(value) for value in dict.fromkeys(settings.resize_px))

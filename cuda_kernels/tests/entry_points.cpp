// Calls every function of the library on small and odd sizes; run with AddressSanitizer and UndefinedBehaviorSanitizer.
// Results are compared with plain loops, the pyramid's over its settings. Ends with 0, or with the first difference.
// With TP_EMULATED the CUDA side's pyramid is pyramid_emulation.cpp, on the host, and must find what the CPU finds.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "trigpoint_kernels.h"

namespace {

#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            std::fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, tp_last_error()); \
            std::exit(1);                                                                    \
        }                                                                                    \
    } while (0)

// Multiples of 1/8 from a fixed sequence: sums are exact in any order, and ties are many.
std::vector<float> eighths(int64_t count, uint32_t seed) {
    std::vector<float> values((size_t)count);
    for (float& value : values) {
        seed = seed * 1664525u + 1013904223u;
        value = (float)((int)(seed >> 24) % 9 - 4) / 8;
    }
    return values;
}

// Exactly as large as what is asked for, so that a read beyond it is seen.
tp_map map_of(const std::vector<float>& values, int64_t rows, int64_t columns) {
    return {values.data(), rows, columns, rows * columns, columns, 1};
}

struct Level {
    tp_level level;
    std::vector<float> weights, divisors;  // of this level's parents; the divisors of its means
};

// The levels of trigpoint/kernels/pyramid.py for unit weights.
std::vector<Level> plan(int64_t grid_rows, int64_t grid_columns, int64_t rows, int64_t columns) {
    std::vector<Level> levels;
    std::vector<float> child((size_t)(grid_rows * grid_columns), 1.0f);
    for (int number = 1;; ++number) {
        const int64_t child_rows = grid_rows, child_columns = grid_columns, gap = number > 1 ? int64_t(1) << (number - 2) : 0;
        Level made;
        grid_rows += number == 1;
        grid_columns += number == 1;
        rows = (rows - 1) / 2 + 1;
        columns = (columns - 1) / 2 + 1;
        made.level = {grid_rows, grid_columns, rows, columns, gap, number == 1 ? 1 : gap, nullptr, nullptr};
        made.weights.assign((size_t)(grid_rows * grid_columns), 0.0f);
        made.divisors.assign(made.weights.size() * 16, INFINITY);
        for (int64_t parent = 0; parent < grid_rows * grid_columns; ++parent) {
            float total = 0, visible[16] = {};
            for (int side = 0; side < 4; ++side) {
                const int64_t y = parent / grid_columns + (side / 2 ? -made.level.gap_before : gap);
                const int64_t x = parent % grid_columns + (side % 2 ? -made.level.gap_before : gap);
                if (y < 0 || y >= child_rows || x < 0 || x >= child_columns) continue;
                const float weight = child[(size_t)(y * child_columns + x)];
                total += weight;
                for (int mask = 0; mask < 16; ++mask)
                    if ((mask >> 2 & (side / 2 ? 2 : 1)) && (mask & (side % 2 ? 2 : 1))) visible[mask] += weight;
            }
            made.weights[(size_t)parent] = total;
            for (int mask = 0; mask < 16; ++mask)
                if (visible[mask] > 0)
                    made.divisors[(size_t)(parent * 16 + mask)] =
                        visible[mask] < total ? (float)(total * std::pow((double)visible[mask] / total, 0.9)) : total;
        }
        if (*std::max_element(made.weights.begin(), made.weights.end()) == 0) return levels;
        child = made.weights;
        levels.push_back(made);
        if (std::min(rows, columns) <= 2) return levels;
    }
}

struct Matches {
    std::vector<int64_t> pixel, patch, block_pixel;
    std::vector<float> score, block_score;
    bool operator==(const Matches& other) const {
        return pixel == other.pixel && patch == other.patch && block_pixel == other.block_pixel && score == other.score &&
               block_score == other.block_score;
    }
};

Matches match(tp_pyramid problem) {
    const size_t patches = (size_t)(problem.desc0.rows * problem.desc0.columns);
    const size_t blocks = (size_t)(problem.desc1.rows / 4 * (problem.desc1.columns / 4));
    Matches found = {std::vector<int64_t>(patches, -7), std::vector<int64_t>(blocks, -7), std::vector<int64_t>(blocks, -7),
                     std::vector<float>(patches, -7), std::vector<float>(blocks, -7)};
    const tp_pyramid_result result = {found.pixel.data(), found.score.data(), found.patch.data(), found.block_pixel.data(),
                                      found.block_score.data()};
    CHECK(tp_pyramid_cpu_bytes(&problem) > 0);
    CHECK(tp_match_pyramid_cpu(&problem, &result) == 0);
    const int64_t pixels = problem.desc1.rows * problem.desc1.columns;
    for (int64_t pixel : found.pixel) CHECK(pixel >= 0 && pixel < pixels);
    for (int64_t patch : found.patch) CHECK(patch >= 0 && patch < (int64_t)patches);
    return found;
}

#if defined(TP_EMULATED)
extern "C" void tp_emulated_scratch(int64_t bytes);

Matches match_emulated(const tp_pyramid& problem) {
    const size_t patches = (size_t)(problem.desc0.rows * problem.desc0.columns);
    const size_t blocks = (size_t)(problem.desc1.rows / 4 * (problem.desc1.columns / 4));
    Matches found = {std::vector<int64_t>(patches, -7), std::vector<int64_t>(blocks, -7), std::vector<int64_t>(blocks, -7),
                     std::vector<float>(patches, -7), std::vector<float>(blocks, -7)};
    const tp_pyramid_result result = {found.pixel.data(), found.score.data(), found.patch.data(), found.block_pixel.data(),
                                      found.block_score.data()};
    const int64_t bytes = tp_pyramid_cuda_bytes(&problem);
    CHECK(bytes > 0);
    void* const workspace = std::aligned_alloc(256, (size_t)((bytes + 255) / 256 * 256));
    CHECK(tp_match_pyramid_cuda(&problem, &result, workspace, nullptr) == 0);
    std::free(workspace);
    return found;
}
#endif

void pyramid(int64_t channels, int64_t rows0, int64_t columns0, int64_t rows1, int64_t columns1, double power) {
    const auto values0 = eighths(channels * rows0 * columns0, 1), values1 = eighths(channels * rows1 * columns1, 2);
    std::vector<Level> levels = plan(rows0, columns0, rows1, columns1);
    const std::vector<float> ones((size_t)(rows0 * columns0), 1.0f);
    std::vector<tp_level> given;
    for (size_t i = 0; i < levels.size(); ++i) {
        levels[i].level.child_weights = i ? levels[i - 1].weights.data() : ones.data();
        levels[i].level.divisors = levels[i].divisors.data();
        given.push_back(levels[i].level);
    }
    tp_pyramid problem = {map_of(values0, rows0, columns0), map_of(values1, rows1, columns1), channels, given.data(),
                          (int64_t)given.size(), power, TP_FLOAT32, TP_STORED, 1};
    const Matches expected = match(problem);
    for (int32_t dtype : {TP_FLOAT32, TP_BFLOAT16})  // eighths are exact in bfloat16 too
        for (int32_t positions : {TP_STORED, TP_RECOMPUTED})
            for (int32_t threads : {1, 3}) {
                problem.dtype = dtype;
                problem.positions = positions;
                problem.threads = threads;
                CHECK(match(problem) == expected);
            }
#if defined(TP_EMULATED)
    tp_emulated_scratch(0);
    for (int32_t positions : {TP_STORED, TP_RECOMPUTED}) {
        problem.positions = positions;
        problem.dtype = TP_FLOAT32;
        CHECK(match_emulated(problem) == expected);
    }
    if (rows1 % 2) {  // every other size: levels are rounded, so that only the addresses are looked at
        problem.dtype = TP_FLOAT16;
        match_emulated(problem);
    }
    problem.dtype = TP_FLOAT32;
#endif
    double seconds[4];
    tp_last_cpu_seconds(seconds);
    problem.num_levels = 0;
    match(problem);
#if !defined(TP_EMULATED)
    CHECK(tp_pyramid_cuda_bytes(&problem) == -1 && *tp_last_error());  // built without CUDA
#endif
    problem.dtype = 99;
    const tp_pyramid_result nowhere = {};
    CHECK(tp_match_pyramid_cpu(&problem, &nowhere) != 0 && *tp_last_error());
    CHECK(tp_match_pyramid_cuda(&problem, &nowhere, nullptr, nullptr) != 0 && *tp_last_error());
}

void nearest(int64_t rows0, int64_t rows1, int64_t channels, int32_t threads) {
    const auto values0 = eighths(rows0 * channels, 3), values1 = eighths(rows1 * channels, 4);
    std::vector<int64_t> index[2] = {std::vector<int64_t>((size_t)rows0), std::vector<int64_t>((size_t)rows1)};
    std::vector<float> best[2] = {std::vector<float>((size_t)rows0), std::vector<float>((size_t)rows1)}, second[2] = {best[0], best[1]};
    // the second matrix is given transposed
    const tp_two_nearest problem = {{values0.data(), rows0, channels, 1}, {values1.data(), rows1, 1, rows1}, channels, threads};
    const tp_two_nearest_result result = {index[0].data(), best[0].data(), second[0].data(),
                                          index[1].data(), best[1].data(), second[1].data()};
    CHECK(tp_two_nearest_cpu(&problem, &result) == 0);
    for (int side = 0; side < 2; ++side)
        for (int64_t i = 0; i < (side ? rows1 : rows0); ++i) {
            float most = -INFINITY, next = -INFINITY;
            int64_t where = 0;
            for (int64_t j = 0; j < (side ? rows0 : rows1); ++j) {
                float product = 0;
                for (int64_t c = 0; c < channels; ++c)
                    product += values0[(size_t)((side ? j : i) * channels + c)] * values1[(size_t)(c * rows1 + (side ? i : j))];
                if (product > most) {
                    next = most;
                    most = product;
                    where = j;
                } else if (product > next) {
                    next = product;
                }
            }
            CHECK(index[side][(size_t)i] == where && best[side][(size_t)i] == most && second[side][(size_t)i] == next);
        }
}

void correlation(int64_t channels, int64_t pooling, int64_t rows0, int64_t columns0, int64_t rows1, int64_t columns1) {
    const int64_t sides[4] = {rows0 * pooling, columns0 * pooling, rows1 * pooling, columns1 * pooling};
    const auto values0 = eighths(channels * sides[0] * sides[1], 5), values1 = eighths(channels * sides[2] * sides[3], 6);
    const int64_t cells0 = rows0 * columns0, cells1 = rows1 * columns1;
    std::vector<float> volume((size_t)(cells0 * cells1)), filtered(volume.size());
    std::vector<uint8_t> offsets(volume.size());
    tp_correlation problem = {map_of(values0, sides[0], sides[1]), map_of(values1, sides[2], sides[3]), channels, pooling, 2};
    CHECK(tp_correlate_cpu(&problem, volume.data(), offsets.data()) == 0);
    for (int64_t at = 0; at < cells0 * cells1; ++at) {
        float most = -INFINITY;
        int where = 0, number = 0;
        for (int64_t a = 0; a < pooling * pooling; ++a)
            for (int64_t b = 0; b < pooling * pooling; ++b, ++number) {
                const int64_t y0 = at / cells1 / columns0 * pooling + a / pooling, x0 = at / cells1 % columns0 * pooling + a % pooling;
                const int64_t y1 = at % cells1 / columns1 * pooling + b / pooling, x1 = at % cells1 % columns1 * pooling + b % pooling;
                float product = 0;
                for (int64_t c = 0; c < channels; ++c)
                    product += values0[(size_t)((c * sides[0] + y0) * sides[1] + x0)] * values1[(size_t)((c * sides[2] + y1) * sides[3] + x1)];
                if (product > most) {
                    most = product;
                    where = number;
                }
            }
        CHECK(volume[(size_t)at] == most && (pooling == 1 || offsets[(size_t)at] == where));
    }
    CHECK(tp_mutual_matching_cpu(volume.data(), cells0, cells1, 1e-5f, 2, filtered.data()) == 0);
    for (int64_t at = 0; at < cells0 * cells1; ++at) {
        float row = -INFINITY, column = -INFINITY;
        for (int64_t j = 0; j < cells1; ++j) row = std::max(row, volume[(size_t)(at / cells1 * cells1 + j)]);
        for (int64_t i = 0; i < cells0; ++i) column = std::max(column, volume[(size_t)(i * cells1 + at % cells1)]);
        const float value = volume[(size_t)at];
        const float expected = value * ((value / (row + 1e-5f)) * (value / (column + 1e-5f)));
        CHECK(filtered[(size_t)at] == expected || (std::isnan(expected) && std::isnan(filtered[(size_t)at])));
    }
    problem.pooling = 3;
    CHECK(tp_correlate_cpu(&problem, volume.data(), offsets.data()) != 0 && *tp_last_error());
}

}  // namespace

int main() {
    CHECK(tp_abi_version() == TP_ABI_VERSION);
    std::printf("%s, bfloat16 %d, CUDA built %d, devices %d\n", tp_cpu_isa(), tp_cpu_has_bfloat16(), tp_cuda_built(),
                tp_cuda_devices());
    const int64_t sizes[][5] = {{1, 1, 1, 1, 1},  {3, 1, 2, 1, 9},   {5, 2, 1, 7, 1},    {7, 3, 4, 17, 33},
                                {8, 5, 3, 30, 41}, {16, 7, 9, 31, 66}, {1, 4, 4, 16, 16}, {9, 2, 6, 67, 5}};
    const double powers[] = {1.5, 1, 2, 1.7};
    for (size_t i = 0; i < 8; ++i)
        pyramid(sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3], sizes[i][4], powers[i % 4]);
    for (int64_t rows0 : {1, 11, 97, 200})
        for (int64_t rows1 : {1, 31, 33, 100}) nearest(rows0, rows1, rows0 % 7 + 1, 3);
    for (int64_t pooling : {1, 2}) {
        correlation(1, pooling, 1, 1, 1, 1);
        correlation(5, pooling, 3, 4, 5, 7);
        correlation(17, pooling, 5, 2, 3, 11);
    }
    const tp_two_nearest none = {};
    CHECK(tp_two_nearest_cpu(&none, nullptr) != 0);
    CHECK(tp_cpu_workspace_bytes() > 0);
    tp_free_cpu_workspace();
    CHECK(tp_cpu_workspace_bytes() == 0);
    return 0;
}

// The pyramid's levels in gather form: what one element of an output is, from elements of the inputs.
//
// Volumes are grids of patches of dense maps of image 1. Words, sizes and rules: trigpoint/kernels/pyramid.py and
// pyramid_reference.py. `Stored` is float or Half. A struct here is one launch: operator()(patch, cell) does one element
// of the patch's map; nothing that one of them writes is read by another of the same launch.
#pragma once

#include "device.h"

namespace trigpoint {

struct Size {
    uint32_t rows, columns;
    TP_HD uint32_t area() const { return rows * columns; }
    TP_HD bool has(int64_t row, int64_t column) const {
        return row >= 0 && row < (int64_t)rows && column >= 0 && column < (int64_t)columns;
    }
};

TP_HD Size pooled(Size size) { return {(size.rows - 1) / 2 + 1, (size.columns - 1) / 2 + 1}; }

// Which windows and children a position of a level has: 3x3 windows with stride 2; `gap`s of tp_level.
struct Gaps {
    int64_t next, before;
};

constexpr uint32_t NO_POSITION = 15;  // a window without an allowed pixel
constexpr uint32_t ABSENT = 0xffffffffu;

// The largest value of window (row, column); padding never wins.
template <typename Stored>
TP_HD float window_maximum(const Stored* map, Size size, uint32_t row, uint32_t column) {
    const uint32_t first_row = row ? 2 * row - 1 : 0, first_column = column ? 2 * column - 1 : 0;
    float most = 0;  // stored values are not negative
    for (uint32_t r = first_row; r <= 2 * row + 1 && r < size.rows; ++r)
        for (uint32_t c = first_column; c <= 2 * column + 1 && c < size.columns; ++c)
            most = larger_of(most, value_of(map[(int64_t)r * size.columns + c]));
    return most;
}

// The first largest of window (row, column) in scan order, 0 to 8, without the last row and column of the map.
template <typename Values>
TP_HD uint32_t first_maximum(const Values& values, Size size, uint32_t row, uint32_t column, float* maximum) {
    uint32_t found = NO_POSITION;
    float most = 0;
    for (uint32_t k = 0; k < 9; ++k) {
        const int64_t r = 2 * (int64_t)row - 1 + k / 3, c = 2 * (int64_t)column - 1 + k % 3;
        if (r < 0 || c < 0 || r + 1 >= (int64_t)size.rows || c + 1 >= (int64_t)size.columns) continue;
        const float value = values(r, c);
        if (found != NO_POSITION && !(value > most)) continue;
        most = value;
        found = k;
    }
    *maximum = most;
    return found;
}

// The value of a pixel after the votes of its windows: `code(row, column)` and `vote(row, column)` of a window.
template <typename Code, typename Vote>
TP_HD float voted(float value, uint32_t row, uint32_t column, Size windows, const Code& code, const Vote& vote) {
    for (uint32_t v = 0; v <= (row & 1); ++v) {
        const uint32_t window_row = (row >> 1) + v, at_row = row & 1 ? 2 - 2 * v : 1;
        if (window_row >= windows.rows) continue;
        for (uint32_t u = 0; u <= (column & 1); ++u) {
            const uint32_t window_column = (column >> 1) + u, at_column = column & 1 ? 2 - 2 * u : 1;
            if (window_column >= windows.columns) continue;
            if (code(window_row, window_column) == 3 * at_row + at_column)
                value = larger_of(value, vote(window_row, window_column));
        }
    }
    return value;
}

// The largest of the four parents' values for cell (row, column) of a child, at least 0.
template <typename Stored>
struct Upper {
    const Stored* values;  // null: there is no level above
    Size grid, size;
    Gaps gaps;

    TP_HD float vote(Size child_grid, uint32_t child, uint32_t row, uint32_t column) const {
        float most = 0;
        if (!values) return most;
        const int64_t y = child / child_grid.columns, x = child % child_grid.columns;
        for (int v = 0; v < 2; ++v)
            for (int u = 0; u < 2; ++u) {
                const int64_t parent_row = v ? y + gaps.before : y - gaps.next;
                const int64_t parent_column = u ? x + gaps.before : x - gaps.next;
                const int64_t r = (int64_t)row + (v ? 1 : -1), c = (int64_t)column + (u ? 1 : -1);
                if (!grid.has(parent_row, parent_column) || !size.has(r, c)) continue;
                const int64_t parent = parent_row * grid.columns + parent_column;
                most = larger_of(most, value_of(values[parent * size.area() + r * size.columns + c]));
            }
        return most;
    }
};

// A level from the level below (POOL) or from its pooled maps, of which only the last `kept_rows` rows of patches are
// kept, row y in place y % kept_rows.
template <typename Stored, bool POOL>
struct Aggregate {
    const Stored* lower;
    Size child_grid, child_size;
    uint32_t kept_rows;
    Stored* out;
    Size grid, size;
    Gaps gaps;
    const float* child_weights;
    const float* divisors;
    double power;
    int64_t first_parent;

    TP_HD void operator()(int64_t index, uint32_t cell) const {
        const uint32_t parent = (uint32_t)(first_parent + index);
        const int64_t y = parent / grid.columns, x = parent % grid.columns;
        const uint32_t row = cell / size.columns, column = cell % size.columns;
        float sum = 0;
        for (int v = 0; v < 2; ++v)
            for (int u = 0; u < 2; ++u) {
                const int64_t child_row = v ? y - gaps.before : y + gaps.next;
                const int64_t child_column = u ? x - gaps.before : x + gaps.next;
                const int64_t r = (int64_t)row + (v ? -1 : 1), c = (int64_t)column + (u ? -1 : 1);
                if (!child_grid.has(child_row, child_column) || !size.has(r, c)) continue;
                const Stored* map = lower + ((uint32_t)child_row % kept_rows * child_grid.columns + child_column) *
                                                (int64_t)(POOL ? child_size.area() : size.area());
                const float value = POOL ? window_maximum(map, child_size, (uint32_t)r, (uint32_t)c)
                                         : value_of(map[r * size.columns + c]);
                sum += child_weights[child_row * child_grid.columns + child_column] * value;
            }
        const uint32_t row_mask = (row + 1 < size.rows ? 1 : 0) + (row > 0 ? 2 : 0);
        const uint32_t column_mask = (column + 1 < size.columns ? 1 : 0) + (column > 0 ? 2 : 0);
        const float mean = sum / divisors[(int64_t)parent * 16 + row_mask * 4 + column_mask];
        put(rectified(mean, power), out + (int64_t)parent * size.area() + cell);
    }
};

// The votes of a level for children from `first_child`: where each window's goes, and the value it makes there.
template <typename Stored>
struct CastVotes {
    Upper<Stored> upper;
    const Stored* lower;
    Size child_grid, child_size;
    int64_t first_child;
    uint8_t* codes;
    Stored* votes;

    TP_HD void operator()(int64_t index, uint32_t cell) const {
        const int64_t child = first_child + index;
        const Stored* map = lower + child * child_size.area();
        const uint32_t row = cell / upper.size.columns, column = cell % upper.size.columns;
        const uint32_t stride = child_size.columns;
        const auto values = [map, stride](int64_t r, int64_t c) { return value_of(map[r * stride + c]); };
        float most;
        const uint32_t code = first_maximum(values, child_size, row, column, &most);
        const int64_t at = index * upper.size.area() + cell;
        codes[at] = (uint8_t)code;
        put(most + upper.vote(child_grid, (uint32_t)child, row, column), votes + at);
    }
};

// Those votes, written into the children's maps in place: every pixel asks its windows.
template <typename Stored>
struct TakeVotes {
    const uint8_t* codes;
    const Stored* votes;
    Size windows;
    Stored* lower;
    Size child_size;
    int64_t first_child;

    TP_HD void operator()(int64_t index, uint32_t cell) const {
        Stored* at = lower + (first_child + index) * child_size.area() + cell;
        const uint8_t* patch_codes = codes + index * windows.area();
        const Stored* patch_votes = votes + index * windows.area();
        const uint32_t stride = windows.columns;
        const auto code = [patch_codes, stride](uint32_t r, uint32_t c) { return (uint32_t)patch_codes[r * stride + c]; };
        const auto vote = [patch_votes, stride](uint32_t r, uint32_t c) { return value_of(patch_votes[r * stride + c]); };
        const float before = value_of(*at);
        put(voted(before, cell / child_size.columns, cell % child_size.columns, windows, code, vote), at);
    }
};

// Columns of a strided (channels, rows, columns) map as rows of words, zero from `channels` to `stride`.
template <typename Word>
struct Pack {
    const float* data;
    int64_t channel_stride, row_stride, column_stride;
    uint32_t columns, channels, stride;
    Word* out;

    TP_HD void operator()(int64_t position, uint32_t channel) const {
        const int64_t at = position / columns * row_stride + position % columns * column_stride;
        put(channel < channels ? data[at + channel * channel_stride] : 0.0f, out + position * stride + channel);
    }
};

// The best pixel of each patch of a batch, from the best of each tile.
struct ReadPatches {
    const Key* partial;  // (patches, tiles)
    uint32_t tiles;
    int64_t first_patch;
    int64_t* pixel_of_patch;
    float* score_of_patch;

    TP_HD void operator()(int64_t index, uint32_t) const {
        Key best = 0;
        for (uint32_t tile = 0; tile < tiles; ++tile) best = larger_of(best, partial[index * tiles + tile]);
        pixel_of_patch[first_patch + index] = index_of(best);
        score_of_patch[first_patch + index] = score_of(best);
    }
};

// The best (patch, pixel) of each block, from the best of each group of patches of a batch; kept over batches.
struct ReadBlocks {
    const Key* partial;  // (groups, blocks)
    int64_t groups, blocks;
    Key* best;
    bool first;

    TP_HD void operator()(int64_t block, uint32_t) const {
        Key key = first ? 0 : best[block];
        for (int64_t group = 0; group < groups; ++group) key = larger_of(key, partial[group * blocks + block]);
        best[block] = key;
    }
};

struct WriteBlocks {
    const Key* best;
    Size blocks;
    uint32_t columns;  // of image 1
    int64_t* patch_of_block;
    int64_t* pixel_of_block;
    float* score_of_block;

    TP_HD void operator()(int64_t block, uint32_t) const {
        const uint32_t index = index_of(best[block]), inside = index % 16;
        patch_of_block[block] = index / 16;
        pixel_of_block[block] = (block / blocks.columns * 4 + inside / 4) * columns + block % blocks.columns * 4 + inside % 4;
        score_of_block[block] = score_of(best[block]);
    }
};

}  // namespace trigpoint

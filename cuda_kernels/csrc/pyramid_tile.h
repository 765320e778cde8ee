// Level 0 tile by tile, never stored: products of some patches with a rectangle of pixels, and what is made of them.
//
// A tile is CORE_ROWS x CORE_COLUMNS pixels of image 1 with the pixels around that their windows need: one row above
// and one column left on the way up, one more below and two more to the right on the way down. A block of threads
// makes one tile for PATCHES patches, in phases; within a phase nothing is read that another item of it writes.
//
// `Team` is a block of threads (team.each(count, item) runs item(i) for i below count and waits for all) or, under a
// host compiler, one thread; `Product` fills the tile.
#pragma once

#include "pyramid_elements.h"

namespace trigpoint {

constexpr uint32_t CORE_ROWS = 8, CORE_COLUMNS = 32;  // multiples of 4: no 4x4 block of pixels is in two tiles
constexpr uint32_t CORE_BLOCKS = CORE_ROWS / 4 * (CORE_COLUMNS / 4);
constexpr uint32_t CHUNK = 16;  // pixels of a product

// What both ways need. `Word` is the type of the descriptors: float, Half or Bfloat.
template <typename Word>
struct TileInput {
    const Word* patches;  // (patches, stride)
    const Word* pixels;   // (rows * columns, stride)
    uint32_t stride;      // words of a descriptor, a multiple of CHUNK, zero behind the channels
    Size grid, size;
    uint32_t first_patch, num_patches;  // of the batch
    double power;

    TP_HD uint32_t tiles_across() const { return (size.columns + CORE_COLUMNS - 1) / CORE_COLUMNS; }
    TP_HD uint32_t num_tiles() const { return (size.rows + CORE_ROWS - 1) / CORE_ROWS * tiles_across(); }
};

// Sides and places of a tile's arrays. HALO: pixels above and below (and left and right) of the core, one above always.
template <typename Word, uint32_t PATCHES_, uint32_t BELOW>
struct TileLayout {
    static constexpr uint32_t PATCHES = PATCHES_;
    static constexpr uint32_t ROWS = 1 + CORE_ROWS + BELOW, COLUMNS = 1 + CORE_COLUMNS + BELOW;
    static constexpr uint32_t PIXELS = ROWS * COLUMNS;
    static constexpr uint32_t STRIDE = (PIXELS + CHUNK - 1) / CHUNK * CHUNK;  // floats from patch to patch
    static constexpr uint32_t CHUNKS = STRIDE / CHUNK;
    static constexpr uint32_t WINDOW_ROWS = ROWS / 2, WINDOW_COLUMNS = COLUMNS / 2;
    static constexpr uint32_t WINDOWS = WINDOW_ROWS * WINDOW_COLUMNS;
};

// The tile a block works on: its corner in image 1 and its patches.
struct TilePlace {
    uint32_t tile, group;
    int64_t row, column;  // of pixel 0 of the tile; may be -1
    uint32_t first, count;  // patches of the batch
};

template <typename Layout, typename Word>
TP_HD TilePlace tile_place(const TileInput<Word>& input, int64_t block) {
    // blocks that share pixels follow each other: those are the larger part of what is read
    const uint32_t groups = (input.num_patches + Layout::PATCHES - 1) / Layout::PATCHES;
    TilePlace place;
    place.tile = (uint32_t)(block / groups);
    place.group = (uint32_t)(block % groups);
    place.row = (int64_t)(place.tile / input.tiles_across()) * CORE_ROWS - 1;
    place.column = (int64_t)(place.tile % input.tiles_across()) * CORE_COLUMNS - 1;
    place.first = place.group * Layout::PATCHES;
    const uint32_t left = input.num_patches - place.first;
    place.count = left < Layout::PATCHES ? left : Layout::PATCHES;
    return place;
}

// The row of descriptors of pixel `index` of a tile, or null outside the image.
template <typename Layout, typename Word>
TP_HD const Word* tile_pixel(const TileInput<Word>& input, const TilePlace& place, uint32_t index) {
    const int64_t row = place.row + index / Layout::COLUMNS, column = place.column + index % Layout::COLUMNS;
    if (index >= Layout::PIXELS || !input.size.has(row, column)) return nullptr;
    return input.pixels + (row * input.size.columns + column) * input.stride;
}

template <typename Word>
TP_HD const Word* tile_patch(const TileInput<Word>& input, const TilePlace& place, uint32_t index) {
    if (index >= place.count) return nullptr;
    return input.patches + (int64_t)(input.first_patch + place.first + index) * input.stride;
}

// Way up: the pooled maxima of the core's windows, rectified, and their positions as 4-bit codes, two in a byte.
template <typename Word, typename Stored>
struct PoolTile {
    TileInput<Word> input;
    Stored* pooled;  // rows of patches in a ring: row y in place y % kept_rows
    uint32_t kept_rows;
    uint8_t* codes;  // (all patches, pooled rows, half the pooled columns) or null

    template <typename Layout>
    static constexpr uint32_t scratch_bytes() {
        return 0;
    }

    template <typename Layout, typename Team>
    TP_DEVICE void finish(const Team& team, const TilePlace& place, float* values, char*) const {
        if (codes)
            team.each(Layout::PATCHES * Layout::STRIDE,
                      [=](uint32_t i) { values[i] = rectified(values[i], this->input.power); });
        constexpr uint32_t PAIRS = CORE_COLUMNS / 4;
        team.each(place.count * (CORE_ROWS / 2) * PAIRS, [=](uint32_t i) {
            const uint32_t patch = i / (CORE_ROWS / 2 * PAIRS), pair = i % PAIRS, window = i / PAIRS % (CORE_ROWS / 2);
            this->template window_pair<Layout>(place, values + patch * Layout::STRIDE, patch, window, 2 * pair);
        });
    }

    // Two neighbouring windows of one patch: column `left` of the core's windows, which is even, and the next.
    template <typename Layout>
    TP_HD void window_pair(const TilePlace& place, const float* values, uint32_t patch, uint32_t window,
                           uint32_t left) const {
        const Size out = trigpoint::pooled(input.size);
        const uint32_t row = (uint32_t)((place.row + 1) / 2) + window;
        if (row >= out.rows) return;
        const uint32_t index = input.first_patch + place.first + patch;
        const uint32_t slot = index / input.grid.columns % kept_rows * input.grid.columns + index % input.grid.columns;
        uint32_t byte = 0;
        for (uint32_t u = 0; u < 2; ++u) {
            const uint32_t column = (uint32_t)((place.column + 1) / 2) + left + u;
            if (column >= out.columns) break;
            float most = 0;  // a maximum below 0 rectifies to 0
            for (uint32_t k = 0; k < 9; ++k) {
                const uint32_t r = 2 * window + k / 3, c = 2 * (left + u) + k % 3;
                if (input.size.has(place.row + r, place.column + c)) most = larger_of(most, values[r * Layout::COLUMNS + c]);
            }
            put(codes ? most : rectified(most, input.power), pooled + ((int64_t)slot * out.rows + row) * out.columns + column);
            if (codes) {
                const TilePlace at = place;
                const auto value = [=](int64_t r, int64_t c) {
                    return values[(r - at.row) * Layout::COLUMNS + (c - at.column)];
                };
                byte |= first_maximum(value, input.size, row, column, &most) << 4 * u;
            }
        }
        const uint32_t bytes = (out.columns + 1) / 2, at = (uint32_t)((place.column + 1) / 2) + left;
        if (codes && at < out.columns) codes[((int64_t)index * out.rows + row) * bytes + at / 2] = (uint8_t)byte;
    }
};

// Way down: the votes of level 1, the final scores of the core's pixels, the best of each patch and of each 4x4 block.
template <typename Word, typename Stored>
struct ScoreTile {
    TileInput<Word> input;
    Upper<Stored> upper;
    const uint8_t* codes;  // as PoolTile wrote them, or null: found again
    Key* best_of_patch;    // (patches of the batch, tiles)
    Key* best_of_block;    // (groups of patches, blocks)

    template <typename Layout>
    static constexpr uint32_t scratch_bytes() {
        constexpr uint32_t windows = Layout::PATCHES * Layout::WINDOWS;
        constexpr uint32_t votes = (windows * 4 + windows + 15) / 16 * 16;
        constexpr uint32_t keys = 8 * Layout::PATCHES * (CORE_ROWS + CORE_BLOCKS);
        return votes > keys ? votes : keys;
    }

    template <typename Layout, typename Team>
    TP_DEVICE void finish(const Team& team, const TilePlace& place, float* values, char* scratch) const {
        float* const votes = reinterpret_cast<float*>(scratch);
        uint8_t* const positions = reinterpret_cast<uint8_t*>(votes + Layout::PATCHES * Layout::WINDOWS);
        team.each(Layout::PATCHES * Layout::STRIDE,
                  [=](uint32_t i) { values[i] = rectified(values[i], this->input.power); });
        team.each(place.count * Layout::WINDOWS, [=](uint32_t i) {
            const uint32_t patch = i / Layout::WINDOWS;
            positions[i] = this->template cast<Layout>(place, values + patch * Layout::STRIDE, patch, i % Layout::WINDOWS, votes + i);
        });
        team.each(place.count * CORE_ROWS * CORE_COLUMNS, [=](uint32_t i) {
            const uint32_t patch = i / (CORE_ROWS * CORE_COLUMNS), core = i % (CORE_ROWS * CORE_COLUMNS);
            float* at = values + patch * Layout::STRIDE + core_pixel<Layout>(core / CORE_COLUMNS, core % CORE_COLUMNS);
            *at = this->template score<Layout>(place, *at, core, votes + patch * Layout::WINDOWS, positions + patch * Layout::WINDOWS);
        });
        read_out<Layout>(team, place, values, reinterpret_cast<Key*>(scratch));
    }

    template <typename Layout>
    static TP_HD uint32_t core_pixel(uint32_t row, uint32_t column) {
        return (row + 1) * Layout::COLUMNS + column + 1;
    }

    // Position and value of the vote of one of the tile's windows.
    template <typename Layout>
    TP_HD uint8_t cast(const TilePlace& place, const float* values, uint32_t patch, uint32_t window, float* vote) const {
        const Size windows = pooled(input.size);
        const uint32_t row = (uint32_t)((place.row + 1) / 2) + window / Layout::WINDOW_COLUMNS;
        const uint32_t column = (uint32_t)((place.column + 1) / 2) + window % Layout::WINDOW_COLUMNS;
        *vote = 0;
        if (!upper.values || row >= windows.rows || column >= windows.columns) return NO_POSITION;
        const uint32_t index = input.first_patch + place.first + patch;
        const TilePlace at = place;
        const auto value = [=](int64_t r, int64_t c) { return values[(r - at.row) * Layout::COLUMNS + (c - at.column)]; };
        uint32_t code;
        float most = 0;
        if (codes) {
            const uint8_t byte = codes[((int64_t)index * windows.rows + row) * ((windows.columns + 1) / 2) + column / 2];
            code = column % 2 ? byte >> 4 : byte & 15;
            if (code != NO_POSITION) most = value(2 * (int64_t)row - 1 + code / 3, 2 * (int64_t)column - 1 + code % 3);
        } else {
            code = first_maximum(value, input.size, row, column, &most);
        }
        *vote = most + upper.vote(input.grid, index, row, column);
        return (uint8_t)code;
    }

    // The final score of a pixel of the core.
    template <typename Layout>
    TP_HD float score(const TilePlace& place, float value, uint32_t core, const float* votes, const uint8_t* positions) const {
        (void)place;  // cores begin at even rows and columns, so the tile's windows can be counted from its corner
        const Size windows = {Layout::WINDOW_ROWS, Layout::WINDOW_COLUMNS};
        const auto code = [=](uint32_t r, uint32_t c) { return (uint32_t)positions[r * Layout::WINDOW_COLUMNS + c]; };
        const auto vote = [=](uint32_t r, uint32_t c) { return votes[r * Layout::WINDOW_COLUMNS + c]; };
        return voted(value, core / CORE_COLUMNS, core % CORE_COLUMNS, windows, code, vote);
    }

    template <typename Layout, typename Team>
    TP_DEVICE void read_out(const Team& team, const TilePlace& place, const float* values, Key* keys) const {
        Key* const row_keys = keys;                                     // (patch, row of the core)
        Key* const block_keys = keys + Layout::PATCHES * CORE_ROWS;     // (patch, block of the core)
        team.each(place.count * (CORE_ROWS + CORE_BLOCKS), [=](uint32_t i) {
            const uint32_t patch = i / (CORE_ROWS + CORE_BLOCKS), part = i % (CORE_ROWS + CORE_BLOCKS);
            const float* scores = values + patch * Layout::STRIDE;
            if (part < CORE_ROWS) {
                row_keys[patch * CORE_ROWS + part] = this->template best_of_row<Layout>(place, scores, part);
            } else {
                block_keys[patch * CORE_BLOCKS + part - CORE_ROWS] =
                    this->template best_in_block<Layout>(place, scores, patch, part - CORE_ROWS);
            }
        });
        team.each(place.count + CORE_BLOCKS, [=](uint32_t i) {
            Key best = 0;
            if (i < place.count) {
                for (uint32_t row = 0; row < CORE_ROWS; ++row) best = larger_of(best, row_keys[i * CORE_ROWS + row]);
                this->best_of_patch[(int64_t)(place.first + i) * this->input.num_tiles() + place.tile] = best;
                return;
            }
            const Size blocks = {this->input.size.rows / 4, this->input.size.columns / 4};
            const uint32_t block = i - place.count;
            const uint32_t row = (uint32_t)((place.row + 1) / 4) + block / (CORE_COLUMNS / 4);
            const uint32_t column = (uint32_t)((place.column + 1) / 4) + block % (CORE_COLUMNS / 4);
            if (row >= blocks.rows || column >= blocks.columns) return;
            for (uint32_t patch = 0; patch < place.count; ++patch)
                best = larger_of(best, block_keys[patch * CORE_BLOCKS + block]);
            this->best_of_block[(int64_t)place.group * blocks.area() + row * blocks.columns + column] = best;
        });
    }

    template <typename Layout>
    TP_HD Key best_of_row(const TilePlace& place, const float* scores, uint32_t row) const {
        Key best = 0;
        const int64_t r = place.row + 1 + row;
        for (uint32_t column = 0; column < CORE_COLUMNS && input.size.has(r, place.column + 1 + column); ++column) {
            const uint32_t pixel = (uint32_t)(r * input.size.columns + place.column + 1 + column);
            best = larger_of(best, key_of(scores[core_pixel<Layout>(row, column)], pixel));
        }
        return best;
    }

    template <typename Layout>
    TP_HD Key best_in_block(const TilePlace& place, const float* scores, uint32_t patch, uint32_t block) const {
        Key best = 0;
        const uint32_t index = input.first_patch + place.first + patch;
        const uint32_t row = block / (CORE_COLUMNS / 4) * 4, column = block % (CORE_COLUMNS / 4) * 4;
        for (uint32_t inside = 0; inside < 16; ++inside) {
            const uint32_t at = core_pixel<Layout>(row + inside / 4, column + inside % 4);
            best = larger_of(best, key_of(scores[at], index * 16 + inside));
        }
        return best;
    }
};

}  // namespace trigpoint

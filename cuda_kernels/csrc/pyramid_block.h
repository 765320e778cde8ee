// How a block of threads makes a tile: descriptors staged in shared memory, products, then the phases of the task.
//
// `Team` has, beside each() of pyramid_tile.h:
//   warps(work)     work(w) by every warp w of the block, then waits for all
//   lanes(work)     inside warps(): work(l) by every lane l of the warp, then waits for them
//   multiply<Layout, Word>(patches, pixels, row, stride, out)   inside warps(): all patches times CHUNK pixels
#pragma once

#include "pyramid_tile.h"

namespace trigpoint {

constexpr uint32_t THREADS = 256, WARP = 32, WARPS = THREADS / WARP;
constexpr uint32_t PAD = 16;  // bytes behind a staged descriptor: neighbouring rows start in other banks

struct alignas(16) Piece {
    uint32_t words[4];
};

template <typename Word>
TP_HD uint32_t staged_row(uint32_t stride) {
    return stride * (uint32_t)sizeof(Word) + PAD;
}

// The tile's products, the staged patches, and what is first the staged pixels of every warp and then the scratch of
// the task.
template <typename Layout, typename Word, typename Task>
uint32_t shared_bytes(uint32_t stride) {
    const uint32_t row = staged_row<Word>(stride), pixels = WARPS * CHUNK * row;
    const uint32_t scratch = Task::template scratch_bytes<Layout>();
    return Layout::PATCHES * (Layout::STRIDE * 4 + row) + (pixels > scratch ? pixels : scratch);
}

// 16 bytes of a descriptor; zeros where there is none.
TP_HD void stage(const void* descriptor, char* to, uint32_t piece) {
    const Piece none = {{0, 0, 0, 0}};
    reinterpret_cast<Piece*>(to)[piece] = descriptor ? static_cast<const Piece*>(descriptor)[piece] : none;
}

// One lane's share of all patches times CHUNK pixels in float32, each sum in the order of the channels: the CPU's bits.
template <typename Layout>
TP_HD void float_product(uint32_t lane, const char* patches, const char* pixels, uint32_t row, uint32_t stride,
                         float* out) {
    constexpr uint32_t PATCH_LANES = 8, PIXEL_LANES = WARP / PATCH_LANES;
    constexpr uint32_t PATCHES_EACH = Layout::PATCHES / PATCH_LANES, PIXELS_EACH = CHUNK / PIXEL_LANES;
    struct alignas(16) Four {
        float x, y, z, w;
    };
    const uint32_t patch = lane % PATCH_LANES, pixel = lane / PATCH_LANES;
    float sums[PATCHES_EACH][PIXELS_EACH] = {};
    for (uint32_t c = 0; c < stride * 4; c += 16) {
        Four a[PATCHES_EACH], b[PIXELS_EACH];
#pragma unroll
        for (uint32_t i = 0; i < PATCHES_EACH; ++i)
            a[i] = *reinterpret_cast<const Four*>(patches + (patch + i * PATCH_LANES) * row + c);
#pragma unroll
        for (uint32_t j = 0; j < PIXELS_EACH; ++j)
            b[j] = *reinterpret_cast<const Four*>(pixels + (pixel + j * PIXEL_LANES) * row + c);
#pragma unroll
        for (uint32_t i = 0; i < PATCHES_EACH; ++i)
#pragma unroll
            for (uint32_t j = 0; j < PIXELS_EACH; ++j) {
                float sum = fmaf(a[i].x, b[j].x, sums[i][j]);
                sum = fmaf(a[i].y, b[j].y, sum);
                sum = fmaf(a[i].z, b[j].z, sum);
                sums[i][j] = fmaf(a[i].w, b[j].w, sum);
            }
    }
#pragma unroll
    for (uint32_t i = 0; i < PATCHES_EACH; ++i)
#pragma unroll
        for (uint32_t j = 0; j < PIXELS_EACH; ++j)
            out[(patch + i * PATCH_LANES) * Layout::STRIDE + pixel + j * PIXEL_LANES] = sums[i][j];
}

// `shared` has shared_bytes() and is aligned to 128.
template <typename Layout, typename Word, typename Team, typename Task>
TP_DEVICE void make_tile(const Team& team, const Task& task, int64_t block, char* shared) {
    const TileInput<Word>& input = task.input;
    const TilePlace place = tile_place<Layout>(input, block);
    const uint32_t stride = input.stride, row = staged_row<Word>(stride), pieces = stride * (uint32_t)sizeof(Word) / 16;
    float* const values = reinterpret_cast<float*>(shared);
    char* const patches = shared + Layout::PATCHES * Layout::STRIDE * 4;
    char* const rest = patches + Layout::PATCHES * row;
    team.each(Layout::PATCHES * pieces, [&](uint32_t i) {
        stage(tile_patch(input, place, i / pieces), patches + i / pieces * row, i % pieces);
    });
    team.warps([&](uint32_t warp) {
        char* const pixels = rest + warp * CHUNK * row;
        for (uint32_t chunk = warp; chunk < Layout::CHUNKS; chunk += WARPS) {
            team.lanes([&](uint32_t lane) {
                for (uint32_t i = lane / 16; i < CHUNK; i += WARP / 16) {
                    const Word* const pixel = tile_pixel<Layout>(input, place, chunk * CHUNK + i);
                    for (uint32_t piece = lane % 16; piece < pieces; piece += 16) stage(pixel, pixels + i * row, piece);
                }
            });
            team.template multiply<Layout, Word>(patches, pixels, row, stride, values + chunk * CHUNK);
        }
    });
    task.template finish<Layout>(team, place, values, rest);
}

}  // namespace trigpoint

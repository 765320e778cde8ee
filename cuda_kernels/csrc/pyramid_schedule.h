// The order of the launches of one pyramid, and the memory between them. Nothing here knows whether a launch is a CUDA
// kernel or a loop: `Launcher` has
//   each(function, outer, inner)      function(i, j) for all i < outer, j < inner
//   tiles<Layout>(task)               task.finish on every tile of task.input, products made before
//   failed()                          whether a launch was refused; the rest is then not launched
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "library.h"
#include "pyramid_tile.h"
#include "trigpoint_kernels.h"
#include "workspace.h"

namespace trigpoint {

// Beside levels, descriptors and codes: the ring of pooled rows, votes and partial maxima share so much.
constexpr int64_t SCRATCH_BYTES = 80 << 20;

template <typename Stored>
struct DeviceLevel {
    Size grid, size;
    Gaps gaps;
    const float* child_weights;
    const float* divisors;
    Stored* values;
    int64_t patches() const { return (int64_t)grid.rows * grid.columns; }
    int64_t cells() const { return patches() * size.area(); }
};

template <typename Word, typename Stored>
class Schedule {
  public:
    // The patches of a block of threads: more reuse of the pixels where a word is short.
    static constexpr uint32_t PATCHES = sizeof(Word) == 2 ? 64 : 32;
    typedef Word WordType;
    typedef ScoreTile<Word, Stored> LargestTask;  // of shared memory
    typedef TileLayout<Word, PATCHES, 0> UpLayout;
    typedef TileLayout<Word, PATCHES, 2> DownLayout;

    // Without a workspace only bytes() may be asked.
    Schedule(const tp_pyramid& problem, char* workspace, int64_t scratch)
        : problem_(problem),
          grid_{(uint32_t)problem.desc0.rows, (uint32_t)problem.desc0.columns},
          size_{(uint32_t)problem.desc1.rows, (uint32_t)problem.desc1.columns},
          pooled_(pooled(size_)),
          stride_((uint32_t)((problem.channels + CHUNK - 1) / CHUNK * CHUNK)) {
        Pieces pieces(workspace);
        const int64_t blocks = (int64_t)(size_.rows / 4) * (size_.columns / 4);
        patches_ = pieces.take<Word>((int64_t)grid_.area() * stride_);
        pixels_ = pieces.take<Word>((int64_t)size_.area() * stride_);
        best_of_block_ = pieces.take<Key>(blocks);
        for (int64_t i = 0; i < problem.num_levels; ++i) {
            const tp_level& level = problem.levels[i];
            DeviceLevel<Stored> made = {{(uint32_t)level.grid_rows, (uint32_t)level.grid_columns},
                                        {(uint32_t)level.rows, (uint32_t)level.columns},
                                        {level.gap_next, level.gap_before},
                                        level.child_weights,
                                        level.divisors,
                                        nullptr};
            made.values = pieces.take<Stored>(made.cells());
            levels_.push_back(made);
        }
        const bool stored = problem.positions == TP_STORED && !levels_.empty();
        const int64_t bytes_of_codes = (int64_t)pooled_.rows * ((pooled_.columns + 1) / 2);
        codes_ = stored ? pieces.take<uint8_t>(grid_.area() * bytes_of_codes) : nullptr;
        scratch_bytes_ = std::max(scratch, least_scratch());
        scratch_ = pieces.take<char>(scratch_bytes_);
        bytes_ = pieces.used();
    }

    int64_t bytes() const { return bytes_; }
    uint32_t stride() const { return stride_; }

    template <typename Launcher>
    void run(Launcher& launcher, const tp_pyramid_result& result) const {
        pack(launcher, problem_.desc0, grid_, patches_);
        pack(launcher, problem_.desc1, size_, pixels_);
        if (!levels_.empty()) up_from_level0(launcher);
        for (size_t i = 1; i < levels_.size() && !launcher.failed(); ++i) up(launcher, levels_[i - 1], levels_[i]);
        for (size_t i = levels_.size(); i-- > 1 && !launcher.failed();) down(launcher, levels_[i], levels_[i - 1]);
        read_out(launcher, result);
    }

  private:
    int64_t ring_row_bytes() const { return (int64_t)grid_.columns * pooled_.area() * (int64_t)sizeof(Stored); }
    int64_t vote_bytes(Size windows) const { return (int64_t)windows.area() * (int64_t)(sizeof(Stored) + 1) + 128; }
    int64_t group_bytes() const {
        return 8 * ((int64_t)PATCHES * input().num_tiles() + (int64_t)(size_.rows / 4) * (size_.columns / 4)) + 128;
    }
    int64_t least_scratch() const {
        int64_t least = std::max(levels_.empty() ? 0 : 2 * ring_row_bytes(), group_bytes());
        for (size_t i = 1; i < levels_.size(); ++i) least = std::max(least, vote_bytes(levels_[i].size));
        return least;
    }
    TileInput<Word> input() const { return {patches_, pixels_, stride_, grid_, size_, 0, grid_.area(), problem_.power}; }

    template <typename Launcher>
    void pack(Launcher& launcher, const tp_map& map, Size size, Word* out) const {
        launcher.each(Pack<Word>{map.data, map.channel_stride, map.row_stride, map.column_stride, size.columns,
                                 (uint32_t)problem_.channels, stride_, out},
                      size.area(), stride_);
    }

    // Some rows of patches at a time; parents of row y join the rows y - 1 and y, so the row before is kept.
    template <typename Launcher>
    void up_from_level0(Launcher& launcher) const {
        const DeviceLevel<Stored>& level = levels_[0];
        const uint32_t kept = (uint32_t)std::min<int64_t>(scratch_bytes_ / ring_row_bytes(), (int64_t)grid_.rows + 1);
        Stored* const ring = reinterpret_cast<Stored*>(scratch_);
        PoolTile<Word, Stored> task = {input(), ring, kept, codes_};
        for (uint32_t row = 0; row < grid_.rows && !launcher.failed(); row += kept - 1) {
            const uint32_t rows = std::min(kept - 1, grid_.rows - row);
            task.input.first_patch = row * grid_.columns;
            task.input.num_patches = rows * grid_.columns;
            launcher.template tiles<UpLayout>(task);
            const uint32_t parent_rows = rows + (row + rows == grid_.rows ? 1 : 0);
            launcher.each(Aggregate<Stored, false>{ring, grid_, pooled_, kept, level.values, level.grid, level.size, level.gaps,
                                                   level.child_weights, level.divisors, problem_.power,
                                                   (int64_t)row * level.grid.columns},
                          (int64_t)parent_rows * level.grid.columns, level.size.area());
        }
    }

    template <typename Launcher>
    void up(Launcher& launcher, const DeviceLevel<Stored>& lower, const DeviceLevel<Stored>& level) const {
        launcher.each(Aggregate<Stored, true>{lower.values, lower.grid, lower.size, lower.grid.rows, level.values, level.grid,
                                              level.size, level.gaps, level.child_weights, level.divisors, problem_.power, 0},
                      level.patches(), level.size.area());
    }

    template <typename Launcher>
    void down(Launcher& launcher, const DeviceLevel<Stored>& upper, const DeviceLevel<Stored>& level) const {
        const int64_t batch = std::min(scratch_bytes_ / vote_bytes(upper.size), level.patches());
        const Upper<Stored> source = {upper.values, upper.grid, upper.size, upper.gaps};
        for (int64_t first = 0; first < level.patches() && !launcher.failed(); first += batch) {
            const int64_t count = std::min(batch, level.patches() - first);
            Pieces pieces(scratch_);
            Stored* const votes = pieces.take<Stored>(count * upper.size.area());
            uint8_t* const codes = pieces.take<uint8_t>(count * upper.size.area());
            launcher.each(CastVotes<Stored>{source, level.values, level.grid, level.size, first, codes, votes}, count,
                          upper.size.area());
            launcher.each(TakeVotes<Stored>{codes, votes, upper.size, level.values, level.size, first}, count,
                          level.size.area());
        }
    }

    template <typename Launcher>
    void read_out(Launcher& launcher, const tp_pyramid_result& result) const {
        const Size blocks = {size_.rows / 4, size_.columns / 4};
        ScoreTile<Word, Stored> task = {input(), {nullptr, {}, {}, {}}, codes_, nullptr, nullptr};
        if (!levels_.empty()) task.upper = {levels_[0].values, levels_[0].grid, levels_[0].size, levels_[0].gaps};
        const uint32_t tiles = task.input.num_tiles();
        const int64_t batch = scratch_bytes_ / group_bytes() * PATCHES;
        for (int64_t first = 0; first < grid_.area() && !launcher.failed(); first += batch) {
            const int64_t count = std::min<int64_t>(batch, grid_.area() - first);
            const int64_t groups = (count + PATCHES - 1) / PATCHES;
            Pieces pieces(scratch_);
            task.best_of_patch = pieces.take<Key>(count * tiles);
            task.best_of_block = pieces.take<Key>(groups * blocks.area());
            task.input.first_patch = (uint32_t)first;
            task.input.num_patches = (uint32_t)count;
            launcher.template tiles<DownLayout>(task);
            launcher.each(ReadPatches{task.best_of_patch, tiles, first, result.pixel_of_patch, result.score_of_patch}, count, 1);
            launcher.each(ReadBlocks{task.best_of_block, groups, blocks.area(), best_of_block_, first == 0}, blocks.area(), 1);
        }
        launcher.each(WriteBlocks{best_of_block_, blocks, size_.columns, result.patch_of_block, result.pixel_of_block,
                                  result.score_of_block},
                      blocks.area(), 1);
    }

    tp_pyramid problem_;
    Size grid_, size_, pooled_;
    uint32_t stride_;
    std::vector<DeviceLevel<Stored>> levels_;
    Word *patches_, *pixels_;
    Key* best_of_block_;
    uint8_t* codes_;
    char* scratch_;
    int64_t scratch_bytes_, bytes_;
};

// What the 32-bit indices of a tile cannot count, and what is not there; 0 or the number of fail().
inline int refuse(const tp_pyramid& problem) {
    const int64_t patches = problem.desc0.rows * problem.desc0.columns, pixels = problem.desc1.rows * problem.desc1.columns;
    if (patches < 1 || pixels < 1 || problem.channels < 1) return fail("a side of the descriptors is zero");
    if (patches >= int64_t(1) << 28 || pixels >= int64_t(1) << 32 || problem.desc1.rows >= int64_t(1) << 31 ||
        problem.desc1.columns >= int64_t(1) << 31)
        return fail("more than 2^28 patches or 2^32 pixels");
    if (problem.positions != TP_STORED && problem.positions != TP_RECOMPUTED)
        return fail("positions must be stored or recomputed");
    return 0;
}

// Calls use(Schedule) for the types that the problem's dtype asks for.
template <typename Use>
int with_schedule(const tp_pyramid& problem, char* workspace, const Use& use, int64_t scratch = SCRATCH_BYTES) {
    switch (problem.dtype) {
        case TP_FLOAT32: return use(Schedule<float, float>(problem, workspace, scratch));
        case TP_BFLOAT16: return use(Schedule<Bfloat, Half>(problem, workspace, scratch));
        case TP_FLOAT16: return use(Schedule<Half, Half>(problem, workspace, scratch));
        default: return fail("dtype " + std::to_string(problem.dtype) + " is unknown");
    }
}

}  // namespace trigpoint

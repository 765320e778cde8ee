// The pyramid on a CPU. Level 0 is never stored, level 1 neither: what is kept is the pooled level 0 (TP_STORED) or
// nothing below level 2 (TP_RECOMPUTED), and rings of a few patch rows.
//
// Way up, row by row of patches: products of 96 patches with one row of image 1, maxima of 3x3 windows and their
// positions; level 1 of the rows that are complete, pooled at once; level 2; then the levels above.
// Way down: votes into each stored level in place, one owner a map; level 1 row by row again from the pooled level 0;
// the read-out of both sides from scores of windows. No volume is shared by two writers, sums have a fixed order:
// the result does not depend on the number of threads.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include "library.h"
#include "rectify.h"
#include "team.h"
#include "tile_ops.h"
#include "trigpoint_kernels.h"
#include "workspace.h"

namespace trigpoint {
namespace {

constexpr int64_t TASK = 96;  // patches whose rows of products are in work together
constexpr int64_t GROUPS = TASK / TILE_ROWS;
constexpr int64_t BLOCK = 4;
constexpr int64_t SLACK = 16;  // floats before and behind maps: shifted vectors read one beyond the end
constexpr int64_t ROW_SLOTS = 4;
constexpr float INFINITE = std::numeric_limits<float>::infinity();

int64_t divided_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t rounded_up(int64_t a, int64_t b) { return divided_up(a, b) * b; }

// A map of one patch or parent: at least one zero follows every row.
struct MapShape {
    int64_t rows = 0, columns = 0, stride = 0;
    MapShape() = default;
    MapShape(int64_t r, int64_t c) : rows(r), columns(c), stride(rounded_up(c + 1, HALF)) {}
    int64_t floats() const { return rows * stride; }
};

struct Best {
    float score;
    int64_t patch, pixel;
    bool before(const Best& other) const {
        if (score != other.score) return score > other.score;
        return patch != other.patch ? patch < other.patch : pixel < other.pixel;
    }
};

// What one thread needs for itself.
struct Scratch {
    float* rows;       // ROW_SLOTS x TASK split rows of products
    float* largest;    // of a row of products over the patches of a task
    float* last_column;
    float* map;        // one map of level 1
    float* pool;
    float* votes;
    float* scores;
    float* row_best;
    float* filter;     // of every window: no score up to this can win the blocks it may vote into
    int32_t* candidates;
    Best* blocks;
    int64_t* touched;
};

class Pyramid {
  public:
    Pyramid(const tp_pyramid& problem, Pieces& pieces);
    void match(Team& team, const tp_pyramid_result& result);
    double seconds[4] = {0, 0, 0, 0};  // packing, products, other work up and down, read-out

  private:
    void pack(Team& team);
    void need_patch_rows(Team& team, int64_t rows);
    void correlate(int64_t task, Scratch& s);
    void windows_of_row(int64_t task, int64_t q, Scratch& s);
    void blocks_of_row(int64_t task, int64_t row, const float* largest);
    void excluded_of_task(int64_t task, const Scratch& s);
    void tile(int64_t group, int64_t row, int64_t panel, float* half0, float* half1, int64_t stride, float* largest);
    float* split_row(Scratch& s, int64_t row, int64_t patch) const {
        return s.rows + ((row % ROW_SLOTS) * TASK + patch) * split_floats_;
    }

    void up(Team& team);
    void level_up(Team& team, int64_t number);
    void level1_map(int64_t parent, float* out);
    template <typename ChildMap>
    void aggregate(int64_t number, int64_t parent, const ChildMap& child_map, float* out);
    void down(Team& team);
    void vote(int64_t number, int64_t child, float* map, Scratch& s);
    void read_out(int64_t patch, Scratch& s, const tp_pyramid_result& result);
    void join_block(const Best& found, Scratch& s, int64_t& num_touched);
    void lower_filter(int64_t block, Scratch& s);
    void blocks_out(Team& team, const tp_pyramid_result& result);
    Best unvoted(int64_t block, const Best& voted, Scratch& s);

    const tp_level& level(int64_t number) const { return problem_.levels[number - 1]; }
    int64_t parents() const { return level(1).grid_rows * level(1).grid_columns; }
    float* volume(int64_t number, int64_t index) { return volumes_[number] + index * shapes_[number].floats(); }
    int64_t slot(int64_t patch) const { return patch % patch_slots_; }
    float* pooled(int64_t patch) { return pooled_ + slot(patch) * shapes_[1].floats(); }

    const tp_pyramid& problem_;
    const CpuOps& ops_ = cpu_ops();
    Rectification rectification_;
    int64_t width0_, num_patches_, rows1_, columns1_, num_tasks_, num_levels_;
    int64_t panels_, odd_offset_, split_floats_, words_;
    bool bfloat16_, votes_possible_, stored_;
    int64_t block_rows_, block_columns_;
    std::vector<MapShape> shapes_;  // by level; of level 0 none
    int64_t step_rows_, patch_slots_, ring_rows_;
    int64_t next_task_ = 0;
    bool with_codes_ = true;

    uint32_t *packed0_, *packed1_;  // float32, or pairs of bfloat16
    float* pooled_;
    uint8_t* codes_;
    float *allowed_rows_, *allowed_last_, *excluded_score_;
    int64_t* excluded_pixel_;
    float* task_blocks_;  // largest raw product of every task and block
    std::vector<float*> volumes_;
    float* ring_;
    float *zeros_, *lowest_row_;
    std::vector<Scratch> scratch_;
};

Rectification rectification_of(double power) {
    const Power kind = power == 1.5 ? Power::one_and_a_half : power == 1 ? Power::one : power == 2 ? Power::two : Power::any;
    return {kind, power};
}

float* maps_with_slack(Pieces& pieces, int64_t floats) {
    float* start = pieces.take<float>(SLACK + floats + SLACK);
    if (start) std::memset(start, 0, SLACK * sizeof(float));
    return start ? start + SLACK : nullptr;
}

Pyramid::Pyramid(const tp_pyramid& problem, Pieces& pieces) : problem_(problem) {
    const int64_t threads = problem.threads;
    rectification_ = rectification_of(problem.power);
    width0_ = problem.desc0.columns;
    num_patches_ = problem.desc0.rows * width0_;
    num_tasks_ = divided_up(num_patches_, TASK);
    rows1_ = problem.desc1.rows;
    columns1_ = problem.desc1.columns;
    num_levels_ = problem.num_levels;
    votes_possible_ = rows1_ > 1 && columns1_ > 1;
    stored_ = problem.positions == TP_STORED;
    bfloat16_ = problem.dtype == TP_BFLOAT16 && ops_.tile_bfloat16;
    words_ = bfloat16_ ? divided_up(problem.channels, 2) : problem.channels;
    panels_ = divided_up(columns1_, TILE_COLUMNS);
    odd_offset_ = panels_ * HALF + HALF;
    split_floats_ = 2 * panels_ * HALF + HALF;
    block_rows_ = rows1_ / BLOCK;
    block_columns_ = columns1_ / BLOCK;

    shapes_.resize(std::max<int64_t>(num_levels_, 1) + 1);
    shapes_[1] = MapShape((rows1_ - 1) / 2 + 1, (columns1_ - 1) / 2 + 1);
    for (int64_t n = 2; n <= num_levels_; ++n) shapes_[n] = MapShape(level(n).rows, level(n).columns);

    const int64_t grid_rows = problem.desc0.rows + 1, grid_columns = width0_ + 1;
    step_rows_ = divided_up(3 * TASK * threads, 2 * width0_);  // as few as keep everybody busy: rows stay in cache
    patch_slots_ = num_tasks_ * TASK;
    if (!stored_)
        patch_slots_ = std::min(patch_slots_, rounded_up((step_rows_ + 2) * width0_ + (threads + 1) * TASK, TASK));
    ring_rows_ = std::min(step_rows_ + 2, problem.desc0.rows + 1);

    packed0_ = pieces.take<uint32_t>(num_tasks_ * TASK * words_);
    packed1_ = pieces.take<uint32_t>(rows1_ * panels_ * TILE_COLUMNS * words_);
    pooled_ = maps_with_slack(pieces, patch_slots_ * shapes_[1].floats());
    codes_ = pieces.take<uint8_t>(patch_slots_ * shapes_[1].floats() / 2);
    allowed_rows_ = pieces.take<float>(patch_slots_ * shapes_[1].stride);
    allowed_last_ = pieces.take<float>(patch_slots_ * shapes_[1].rows);
    excluded_score_ = pieces.take<float>(num_tasks_ * TASK);
    excluded_pixel_ = pieces.take<int64_t>(num_tasks_ * TASK);
    task_blocks_ = pieces.take<float>(num_tasks_ * block_rows_ * block_columns_);
    volumes_.assign(shapes_.size(), nullptr);
    int64_t ring = ring_rows_ * grid_columns * shapes_[1].floats();  // level 1 on the way down
    for (int64_t n = 2; n <= num_levels_; ++n) {
        volumes_[n] = maps_with_slack(pieces, grid_rows * grid_columns * shapes_[n].floats());
        const int64_t rows = std::min(grid_rows, step_rows_ + 2 * level(n).gap_next);
        ring = std::max(ring, rows * grid_columns * shapes_[n].floats());
    }
    ring_ = maps_with_slack(pieces, ring);
    const int64_t longest = std::max(split_floats_, shapes_[1].stride) + 2 * SLACK;
    zeros_ = maps_with_slack(pieces, longest);
    lowest_row_ = pieces.take<float>(longest);
    if (lowest_row_) {
        std::fill_n(zeros_, longest, 0.0f);
        std::fill_n(lowest_row_, longest, -INFINITE);
    }

    const MapShape& cells = shapes_[1];
    const int64_t blocks = block_rows_ * block_columns_;
    for (int64_t i = 0; i < threads; ++i) {
        Scratch s;
        s.rows = pieces.take<float>(ROW_SLOTS * TASK * split_floats_);
        s.largest = pieces.take<float>(panels_ * TILE_COLUMNS);
        s.last_column = pieces.take<float>(TASK * rows1_);
        s.map = maps_with_slack(pieces, cells.floats());
        s.pool = pieces.take<float>(2 * cells.stride + 128);
        s.votes = pieces.take<float>(backward_scratch(cells.stride));
        s.scores = pieces.take<float>(cells.stride);
        s.row_best = pieces.take<float>(cells.rows);
        s.filter = pieces.take<float>(cells.floats());
        s.candidates = pieces.take<int32_t>(cells.stride);
        s.blocks = pieces.take<Best>(blocks);
        s.touched = pieces.take<int64_t>(blocks);
        if (s.rows)
            for (int64_t row = 0; row < ROW_SLOTS * TASK; ++row)
                s.rows[row * split_floats_ + odd_offset_ - 1] = -INFINITE;
        scratch_.push_back(s);
    }
}

// ---- level 0 --------------------------------------------------------------------------------------------------------

float rounded_to_bfloat16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    std::memcpy(&value, &bits, 4);
    return value;
}

// Fills `lanes` words, `step` columns apart, of every channel (or pair of channels) of a pack.
struct Packing {
    const tp_map& map;
    int64_t channels;
    bool pairs, rounded;

    float value(const float* at, int64_t channel) const {
        if (channel >= channels) return 0;
        const float found = at[channel * map.channel_stride];
        return rounded ? rounded_to_bfloat16(found) : found;
    }
    void lane(const float* at, int64_t words, int64_t pitch, uint32_t* out) const {
        for (int64_t c = 0; c < words; ++c) {
            uint32_t bits;
            if (pairs) {
                const float low = value(at, 2 * c), high = value(at, 2 * c + 1);
                uint32_t low_bits;
                std::memcpy(&low_bits, &low, 4);
                std::memcpy(&bits, &high, 4);
                bits = (bits & 0xffff0000) | low_bits >> 16;
            } else {
                const float found = value(at, c);
                std::memcpy(&bits, &found, 4);
            }
            out[c * pitch] = bits;
        }
    }
};

void Pyramid::pack(Team& team) {
    const bool rounded = problem_.dtype == TP_BFLOAT16;
    const Packing packing0{problem_.desc0, problem_.channels, bfloat16_, rounded};
    team.run(num_tasks_ * GROUPS, [&](int64_t group, int) {
        uint32_t* out = packed0_ + group * TILE_ROWS * words_;
        for (int64_t i = 0; i < TILE_ROWS; ++i) {
            const int64_t patch = group * TILE_ROWS + i;
            if (patch < num_patches_) {
                const float* at = problem_.desc0.data + patch / width0_ * problem_.desc0.row_stride +
                                  patch % width0_ * problem_.desc0.column_stride;
                packing0.lane(at, words_, TILE_ROWS, out + i);
            } else {
                for (int64_t c = 0; c < words_; ++c) out[c * TILE_ROWS + i] = 0;
            }
        }
    });
    const Packing packing1{problem_.desc1, problem_.channels, bfloat16_, rounded};
    const int64_t step = problem_.desc1.column_stride;
    team.run(rows1_, [&](int64_t row, int) {
        const float* line = problem_.desc1.data + row * problem_.desc1.row_stride;
        for (int64_t panel = 0; panel < panels_; ++panel) {
            uint32_t* out = packed1_ + (row * panels_ + panel) * TILE_COLUMNS * words_;
            if (!rounded && (panel + 1) * TILE_COLUMNS <= columns1_) {
                for (int64_t c = 0; c < words_; ++c) {
                    const float* from = line + c * problem_.desc1.channel_stride + panel * TILE_COLUMNS * step;
                    float* to = reinterpret_cast<float*>(out) + c * TILE_COLUMNS;
                    for (int64_t j = 0; j < HALF; ++j) {
                        to[j] = from[2 * j * step];
                        to[HALF + j] = from[(2 * j + 1) * step];
                    }
                }
                continue;
            }
            for (int64_t j = 0; j < TILE_COLUMNS; ++j) {
                const int64_t column = panel * TILE_COLUMNS + 2 * (j % HALF) + j / HALF;
                if (column < columns1_) {
                    packing1.lane(line + column * step, words_, TILE_COLUMNS, out + j);
                } else {
                    for (int64_t c = 0; c < words_; ++c) out[c * TILE_COLUMNS + j] = 0;
                }
            }
        }
    });
}

void Pyramid::tile(int64_t group, int64_t row, int64_t panel, float* half0, float* half1, int64_t stride,
                   float* largest) {
    const uint32_t* a = packed0_ + group * TILE_ROWS * words_;
    const uint32_t* b = packed1_ + (row * panels_ + panel) * TILE_COLUMNS * words_;
    if (bfloat16_) {
        ops_.tile_bfloat16(a, b, words_, half0, half1, stride, largest);
    } else {
        ops_.tile(reinterpret_cast<const float*>(a), reinterpret_cast<const float*>(b), words_, half0, half1, stride,
                  largest);
    }
}

// Pooled maxima of at least the first `rows` rows of patches; those long past are given up where they are not stored.
void Pyramid::need_patch_rows(Team& team, int64_t rows) {
    const int64_t needed = divided_up(std::min(rows * width0_, num_patches_), TASK);
    if (needed <= next_task_) return;
    const auto started = std::chrono::steady_clock::now();
    const int64_t count = std::min(rounded_up(needed - next_task_, team.size()), num_tasks_ - next_task_);
    team.run(count, [&](int64_t item, int thread) { correlate(next_task_ + item, scratch_[thread]); });
    next_task_ += count;
    seconds[1] += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

void Pyramid::correlate(int64_t task, Scratch& s) {
    const int64_t patches = std::min(TASK, num_patches_ - task * TASK), groups = divided_up(patches, TILE_ROWS);
    const int64_t last_offset = (columns1_ - 1) / 2 + ((columns1_ - 1) % 2 ? odd_offset_ : 0);
    for (int64_t row = 0; row < rows1_; ++row) {
        std::fill_n(s.largest, panels_ * TILE_COLUMNS, LOWEST);
        for (int64_t panel = 0; panel < panels_; ++panel)
            for (int64_t group = 0; group < groups; ++group) {
                float* even = split_row(s, row, group * TILE_ROWS) + panel * HALF;
                tile(task * GROUPS + group, row, panel, even, even + odd_offset_, split_floats_,
                     s.largest + panel * TILE_COLUMNS);
            }
        blocks_of_row(task, row, s.largest);
        for (int64_t i = 0; i < patches; ++i) s.last_column[i * rows1_ + row] = split_row(s, row, i)[last_offset];
        if (row % 2 == 1 || row == rows1_ - 1) windows_of_row(task, row / 2, s);
    }
    excluded_of_task(task, s);
}

void Pyramid::windows_of_row(int64_t task, int64_t q, Scratch& s) {
    const int64_t first = task * TASK, patches = std::min(TASK, num_patches_ - first);
    const MapShape& cells = shapes_[1];
    WindowRow job;
    job.odd_offset = odd_offset_;
    job.count = cells.columns;
    job.stride = cells.stride;
    job.even_allowed = columns1_ / 2;
    job.odd_allowed = (columns1_ - 1) / 2;
    for (int64_t i = 0; i < patches; ++i) {
        for (int64_t r = 0; r < 3; ++r) {
            const int64_t row = 2 * q - 1 + r;
            job.rows[r] = row >= 0 && row < rows1_ ? split_row(s, row, i) : lowest_row_;
            job.allowed_rows[r] = row < rows1_ - 1 ? job.rows[r] : lowest_row_;
        }
        const int64_t at = slot(first + i);
        job.pooled = pooled_ + at * cells.floats() + q * cells.stride;
        job.codes = with_codes_ ? codes_ + (at * cells.floats() + q * cells.stride) / 2 : nullptr;
        job.allowed_row = q == cells.rows - 1 ? allowed_rows_ + at * cells.stride : nullptr;
        job.allowed_last = allowed_last_ + at * cells.rows + q;
        ops_.window_row(job, rectification_);
    }
}

// Largest raw product of the task's patches in every 4x4 block.
void Pyramid::blocks_of_row(int64_t task, int64_t row, const float* largest) {
    if (row / BLOCK >= block_rows_) return;
    float* blocks = task_blocks_ + (task * block_rows_ + row / BLOCK) * block_columns_;
    const bool first = row % BLOCK == 0;
    for (int64_t b = 0; b < block_columns_; ++b) {
        const float* even = largest + 2 * b / HALF * TILE_COLUMNS + 2 * b % HALF;
        const float* odd = even + HALF;
        const float most = std::max(std::max(even[0], even[1]), std::max(odd[0], odd[1]));
        blocks[b] = first ? most : std::max(blocks[b], most);
    }
}

// The best pixel of the last row and the last column, which no vote reaches.
void Pyramid::excluded_of_task(int64_t task, const Scratch& s) {
    const int64_t first = task * TASK, patches = std::min(TASK, num_patches_ - first);
    for (int64_t i = 0; i < patches; ++i) {
        const float* column = s.last_column + i * rows1_;
        const float* even = s.rows + (((rows1_ - 1) % ROW_SLOTS) * TASK + i) * split_floats_;
        const float* odd = even + odd_offset_;
        float most = LOWEST;
        for (int64_t row = 0; row < rows1_; ++row) most = std::max(most, column[row]);
        for (int64_t k = 0; k < (columns1_ + 1) / 2; ++k) most = std::max(most, even[k]);
        for (int64_t k = 0; k < columns1_ / 2; ++k) most = std::max(most, odd[k]);
        const float least = threshold_any(most, rectification_);
        int64_t row = 0, k = columns1_ - 1;
        while (row < rows1_ - 1 && column[row] < least) ++row;
        if (row == rows1_ - 1)
            for (k = 0; *(k % 2 ? odd + k / 2 : even + k / 2) < least;) ++k;
        excluded_score_[first + i] = rectify_any(most, rectification_);
        excluded_pixel_[first + i] = row * columns1_ + k;
    }
}

// ---- up -------------------------------------------------------------------------------------------------------------

// child_map(row, column) gives the pooled map of a child that exists.
template <typename ChildMap>
void Pyramid::aggregate(int64_t number, int64_t parent, const ChildMap& child_map, float* out) {
    const tp_level& l = level(number);
    const int64_t y = parent / l.grid_columns, x = parent % l.grid_columns;
    const int64_t child_rows = number == 1 ? l.grid_rows - 1 : l.grid_rows;
    const int64_t child_columns = number == 1 ? l.grid_columns - 1 : l.grid_columns;
    AggregateMap job;
    for (int i = 0; i < 4; ++i) {
        const int64_t cy = i < 2 ? y + l.gap_next : y - l.gap_before;
        const int64_t cx = i % 2 == 0 ? x + l.gap_next : x - l.gap_before;
        const bool inside = cy >= 0 && cy < child_rows && cx >= 0 && cx < child_columns;
        job.children[i] = inside ? child_map(cy, cx) : nullptr;
        job.weights[i] = inside ? l.child_weights[cy * child_columns + cx] : 0;
    }
    job.divisors = l.divisors + 16 * parent;
    job.zeros = zeros_;
    job.rows = shapes_[number].rows;
    job.columns = shapes_[number].columns;
    job.stride = shapes_[number].stride;
    job.out = out;
    ops_.aggregate_map(job, rectification_);
}

void Pyramid::level1_map(int64_t parent, float* out) {
    aggregate(1, parent, [&](int64_t y, int64_t x) { return pooled(y * width0_ + x); }, out);
}

// Level `number` from the one below, a few rows of parents at a time.
void Pyramid::level_up(Team& team, int64_t number) {
    const tp_level& l = level(number);
    const int64_t rows = l.grid_rows, columns = l.grid_columns;
    const int64_t ring_rows = std::min(rows, step_rows_ + 2 * l.gap_next);
    const MapShape &lower = shapes_[number - 1], &cells = shapes_[number];
    auto ring = [&](int64_t y, int64_t x) { return ring_ + (y % ring_rows * columns + x) * cells.floats(); };
    int64_t done = 0;
    for (int64_t y0 = 0; y0 < rows; y0 += step_rows_) {
        const int64_t y1 = std::min(y0 + step_rows_, rows), needed = std::min(rows, y1 + l.gap_next);
        if (number == 2) need_patch_rows(team, needed);
        team.run((needed - done) * columns, [&](int64_t item, int thread) {
            Scratch& s = scratch_[thread];
            const int64_t child = done * columns + item;
            float* map = number == 2 ? s.map : volume(number - 1, child);
            if (number == 2) level1_map(child, map);
            ops_.pool_map({map, lower.rows, lower.columns, lower.stride, s.pool,
                           ring(child / columns, child % columns), cells.stride});
        });
        done = needed;
        team.run((y1 - y0) * columns, [&](int64_t item, int) {
            const int64_t parent = y0 * columns + item;
            aggregate(number, parent, ring, volume(number, parent));
        });
    }
}

void Pyramid::up(Team& team) {
    with_codes_ = stored_ && votes_possible_;
    for (int64_t number = 2; number <= num_levels_; ++number) level_up(team, number);
}

// ---- down -----------------------------------------------------------------------------------------------------------

// Votes of level `number` into the map of one of its children.
void Pyramid::vote(int64_t number, int64_t child, float* map, Scratch& s) {
    const tp_level& l = level(number);
    const int64_t y = child / l.grid_columns, x = child % l.grid_columns;
    const MapShape &lower = shapes_[number - 1], &cells = shapes_[number];
    BackwardMap job;
    for (int i = 0; i < 4; ++i) {
        const int64_t py = i < 2 ? y - l.gap_next : y + l.gap_before;
        const int64_t px = i % 2 == 0 ? x - l.gap_next : x + l.gap_before;
        const bool inside = py >= 0 && py < l.grid_rows && px >= 0 && px < l.grid_columns;
        job.parents[i] = inside ? volume(number, py * l.grid_columns + px) : nullptr;
    }
    job.zeros = zeros_;
    job.upper_rows = cells.rows;
    job.upper_columns = cells.columns;
    job.upper_stride = cells.stride;
    job.map = map;
    job.rows = lower.rows;
    job.columns = lower.columns;
    job.stride = lower.stride;
    job.scratch = s.votes;
    ops_.backward_map(job);
}

void Pyramid::down(Team& team) {
    for (int64_t number = num_levels_; number > 2; --number)
        team.run(parents(), [&](int64_t child, int thread) {
            vote(number, child, volume(number - 1, child), scratch_[thread]);
        });
    if (!stored_) {
        next_task_ = 0;
        with_codes_ = votes_possible_;
    }
}

// ---- read-out -------------------------------------------------------------------------------------------------------

void Pyramid::lower_filter(int64_t block, Scratch& s) {
    const MapShape& cells = shapes_[1];
    const int64_t y = block / block_columns_, x = block % block_columns_;
    for (int64_t q = 2 * y; q <= std::min(2 * y + 2, cells.rows - 1); ++q)
        for (int64_t k = 2 * x; k <= std::min(2 * x + 2, cells.columns - 1); ++k) {
            float least = INFINITE;
            for (int64_t by = std::max<int64_t>(2 * q - 1, 0) / BLOCK; by <= std::min((2 * q + 1) / BLOCK, block_rows_ - 1); ++by)
                for (int64_t bx = std::max<int64_t>(2 * k - 1, 0) / BLOCK; bx <= std::min((2 * k + 1) / BLOCK, block_columns_ - 1); ++bx)
                    least = std::min(least, s.blocks[by * block_columns_ + bx].score);
            s.filter[q * cells.stride + k] = least;
        }
}

void Pyramid::join_block(const Best& found, Scratch& s, int64_t& num_touched) {
    const int64_t y = found.pixel / columns1_ / BLOCK, x = found.pixel % columns1_ / BLOCK;
    if (y >= block_rows_ || x >= block_columns_) return;
    Best& best = s.blocks[y * block_columns_ + x];
    if (!found.before(best)) return;
    if (best.patch != found.patch) s.touched[num_touched++] = y * block_columns_ + x;  // once a patch
    best = found;
}

// The best pixel of a patch, and its part in the best of blocks, from the scores of windows at their positions.
void Pyramid::read_out(int64_t patch, Scratch& s, const tp_pyramid_result& result) {
    const MapShape& cells = shapes_[1];
    const int64_t y = patch / width0_, x = patch % width0_, at = slot(patch);
    const float* values = pooled(patch);
    const uint8_t* codes = codes_ + at * cells.floats() / 2;
    auto pixel_at = [&](int64_t q, int64_t k) {
        const int code = code_at(codes + q * cells.stride / 2, k);
        return (2 * q - 1 + code / 3) * columns1_ + 2 * k - 1 + code % 3;
    };
    Best best{excluded_score_[patch], patch, excluded_pixel_[patch]};
    int64_t num_touched = 0;
    ScoreRow job;
    job.count = cells.columns;
    job.stride = cells.stride;
    job.scores = s.scores;
    job.candidates = s.candidates;
    auto score = [&](int64_t q, const float* filter) {
        job.values = q == cells.rows - 1 ? allowed_rows_ + at * cells.stride : values + q * cells.stride;
        job.last = allowed_last_[at * cells.rows + q];
        job.filter = filter;
        for (int64_t i = 0; i < 4; ++i) {
            const int64_t row = i < 2 ? q - 1 : q + 1;
            const int64_t parent = (y + i / 2) % ring_rows_ * (width0_ + 1) + x + i % 2;
            const bool inside = num_levels_ > 0 && row >= 0 && row < cells.rows;
            job.parents[i] = inside ? ring_ + parent * cells.floats() + row * cells.stride : zeros_;
        }
        ops_.score_row(job);
    };
    float most = -1;
    for (int64_t q = 0; votes_possible_ && q < cells.rows; ++q) {
        score(q, s.filter + q * cells.stride);
        for (int64_t i = 0; i < job.num_candidates; ++i) {
            const int64_t k = s.candidates[i];
            join_block({s.scores[k], patch, pixel_at(q, k)}, s, num_touched);
        }
        s.row_best[q] = job.largest;
        most = std::max(most, job.largest);
    }
    if (most >= best.score)
        for (int64_t q = 0; q < cells.rows; ++q) {
            if (s.row_best[q] != most) continue;
            score(q, nullptr);
            for (int64_t k = 0; k < cells.columns; ++k) {
                const Best found{s.scores[k], patch, s.scores[k] == most ? pixel_at(q, k) : 0};
                if (found.score == most && found.before(best)) best = found;
            }
        }
    for (int64_t i = 0; i < num_touched; ++i) lower_filter(s.touched[i], s);
    result.pixel_of_patch[patch] = best.pixel;
    result.score_of_patch[patch] = best.score;
}

// The first patch and pixel of a block whose product alone reaches what the votes gave it, if that comes first.
Best Pyramid::unvoted(int64_t block, const Best& voted, Scratch& s) {
    const int64_t num_blocks = block_rows_ * block_columns_;
    float most = LOWEST;
    for (int64_t task = 0; task < num_tasks_; ++task) most = std::max(most, task_blocks_[task * num_blocks + block]);
    const float score = rectify_any(most, rectification_);
    if (score < voted.score) return voted;
    int64_t task = 0;
    while (rectify_any(task_blocks_[task * num_blocks + block], rectification_) != score) ++task;
    if (score == voted.score && task * TASK > voted.patch) return voted;
    const int64_t y = block / block_columns_ * BLOCK, x = block % block_columns_ * BLOCK, panel = x / TILE_COLUMNS;
    const int64_t patches = std::min(TASK, num_patches_ - task * TASK);
    for (int64_t group = 0; group < divided_up(patches, TILE_ROWS); ++group)
        for (int64_t r = 0; r < BLOCK; ++r) {
            float* even = s.rows + (r * TASK + group * TILE_ROWS) * TILE_COLUMNS;
            tile(task * GROUPS + group, y + r, panel, even, even + HALF, TILE_COLUMNS, nullptr);
        }
    for (int64_t i = 0; i < patches; ++i)
        for (int64_t r = 0; r < BLOCK; ++r)
            for (int64_t c = 0; c < BLOCK; ++c) {
                const int64_t column = x % TILE_COLUMNS + c;
                const float value = s.rows[(r * TASK + i) * TILE_COLUMNS + column / 2 + (column % 2 ? HALF : 0)];
                if (rectify_any(value, rectification_) != score) continue;
                const Best found{score, task * TASK + i, (y + r) * columns1_ + x + c};
                return found.before(voted) ? found : voted;
            }
    return voted;
}

void Pyramid::blocks_out(Team& team, const tp_pyramid_result& result) {
    team.run(block_rows_ * block_columns_, [&](int64_t block, int thread) {
        Best best = scratch_[0].blocks[block];
        for (const Scratch& s : scratch_)
            if (s.blocks[block].before(best)) best = s.blocks[block];
        best = unvoted(block, best, scratch_[thread]);
        result.patch_of_block[block] = best.patch;
        result.pixel_of_block[block] = best.pixel;
        result.score_of_block[block] = best.score;
    });
}

void Pyramid::match(Team& team, const tp_pyramid_result& result) {
    auto started = std::chrono::steady_clock::now();
    auto lap = [&] {
        const auto now = std::chrono::steady_clock::now();
        const double passed = std::chrono::duration<double>(now - started).count();
        started = now;
        return passed;
    };
    const int64_t blocks = block_rows_ * block_columns_;
    for (Scratch& s : scratch_) {
        for (int64_t block = 0; block < blocks; ++block) s.blocks[block] = {-1, std::numeric_limits<int64_t>::max(), 0};
        std::fill_n(s.filter, shapes_[1].floats(), INFINITE);
        for (int64_t block = 0; block < blocks; ++block) lower_filter(block, s);
    }
    pack(team);
    seconds[0] += lap();
    up(team);
    down(team);
    const int64_t rows = problem_.desc0.rows, columns = width0_ + 1;
    int64_t done = 0;
    for (int64_t y0 = 0; y0 < rows; y0 += step_rows_) {
        const int64_t y1 = std::min(y0 + step_rows_, rows), needed = std::min(rows + 1, y1 + 1);
        need_patch_rows(team, needed);
        if (num_levels_ > 0)
            team.run((needed - done) * columns, [&](int64_t item, int thread) {
                const int64_t parent = done * columns + item;
                float* map = ring_ + (parent / columns % ring_rows_ * columns + parent % columns) * shapes_[1].floats();
                level1_map(parent, map);
                if (num_levels_ > 1) vote(2, parent, map, scratch_[thread]);
            });
        done = needed;
        seconds[2] += lap();
        team.run((y1 - y0) * width0_, [&](int64_t item, int thread) {
            read_out(y0 * width0_ + item, scratch_[thread], result);
        });
        seconds[3] += lap();
    }
    blocks_out(team, result);
    seconds[3] += lap();
    seconds[2] -= seconds[1];
}

std::string wrong(const tp_pyramid& p) {
    auto empty = [](const tp_map& map) { return map.rows < 1 || map.columns < 1; };
    if (empty(p.desc0) || empty(p.desc1) || p.channels < 1) return "a map of descriptors is empty";
    if (p.threads < 1) return "threads must be at least 1";
    if (p.num_levels < 0 || (p.num_levels > 0 && !p.levels)) return "levels are missing";
    if (!(p.power >= 1 && p.power <= 3)) return "power must be from 1 to 3";
    if (p.dtype != TP_FLOAT32 && p.dtype != TP_BFLOAT16) return "the CPU computes products of float32 or bfloat16";
    if (p.positions != TP_STORED && p.positions != TP_RECOMPUTED) return "positions must be stored or recomputed";
    for (int64_t n = 0; n < p.num_levels; ++n)
        if (p.levels[n].grid_rows != p.desc0.rows + 1 || p.levels[n].grid_columns != p.desc0.columns + 1)
            return "a level's grid does not lie on the corners of the patches";
    return "";
}

thread_local double last_seconds[4];

}  // namespace
}  // namespace trigpoint

using trigpoint::fail;

int64_t tp_pyramid_cpu_bytes(const tp_pyramid* problem) {
    const std::string message = trigpoint::wrong(*problem);
    if (!message.empty()) {
        fail(message);
        return -1;
    }
    trigpoint::Pieces counted(nullptr);
    trigpoint::Pyramid pyramid(*problem, counted);
    return counted.used();
}

int tp_match_pyramid_cpu(const tp_pyramid* problem, const tp_pyramid_result* result) {
    const int64_t bytes = tp_pyramid_cpu_bytes(problem);
    if (bytes < 0) return 1;
    try {
        trigpoint::Workspace workspace(bytes);
        trigpoint::Pieces pieces(workspace.data());
        trigpoint::Pyramid pyramid(*problem, pieces);
        trigpoint::Team team(problem->threads);
        pyramid.match(team, *result);
        std::copy(pyramid.seconds, pyramid.seconds + 4, trigpoint::last_seconds);
    } catch (const std::bad_alloc&) {
        return fail("out of memory: " + std::to_string(bytes >> 20) + " MiB of workspace could not be had");
    } catch (const std::exception& error) {
        return fail(error.what());
    }
    return 0;
}

void tp_last_cpu_seconds(double* seconds) { std::copy(trigpoint::last_seconds, trigpoint::last_seconds + 4, seconds); }
int64_t tp_cpu_workspace_bytes(void) { return trigpoint::kept_workspace_bytes(); }
void tp_free_cpu_workspace(void) { trigpoint::free_kept_workspace(); }

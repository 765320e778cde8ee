// What is compiled once per instruction set: the register tile of products, and the row operations of the pyramid.
//
// The tile serves every user of the engine (pyramid, nearest neighbours, 4D correlations): pack one side in groups of
// TILE_ROWS vectors, the other in groups of TILE_COLUMNS, channel by channel; each call gives TILE_ROWS x TILE_COLUMNS
// dot products, summed in the order of the channels, so that a product's bits do not depend on the tile it is in.
#pragma once

#include <stdint.h>

namespace trigpoint {

constexpr int64_t TILE_ROWS = 12;
constexpr int64_t TILE_COLUMNS = 32;  // two halves of 16, which may go to different places
constexpr int64_t HALF = 16;

enum class Power { one_and_a_half, one, two, any };

// What rectifies: max(v, 0) ** power.
struct Rectification {
    Power kind;
    double power;
};

// One row of windows of level 0. A "row" is a row of products split in even columns and, `odd_offset` floats on, odd
// ones; the float before the first odd column is -inf; rows outside the image (or not allowed) are -inf throughout.
struct WindowRow {
    const float* rows[3];
    const float* allowed_rows[3];  // the same without the last row of image 1; equal to `rows` where that has no part
    int64_t odd_offset;
    int64_t count;         // windows
    int64_t stride;        // floats of an output row, a multiple of 16 above `count`
    int64_t even_allowed;  // even columns without the last column of image 1
    int64_t odd_allowed;
    float* pooled;         // rectified maxima, zero from `count` to `stride`
    uint8_t* codes;        // or null: 4-bit positions, see code_at
    float* allowed_row;    // or null: rectified maxima of the allowed pixels, all windows (last row of windows only)
    float* allowed_last;   // the same of the last window
};

// One map of a parent from the pooled maps of its four children; absent children have a zero weight and a null map.
struct AggregateMap {
    const float* children[4];
    float weights[4];
    const float* divisors;  // 4 x 4
    const float* zeros;     // a row of zeros with 16 more before it
    int64_t rows, columns, stride;
    float* out;             // rectified
};

// The 3x3 / 2 maxima of a map of values that are not negative, with zeros from `columns` to `stride`.
struct PoolMap {
    const float* map;
    int64_t rows, columns, stride;
    float* scratch;  // 2 * out_stride + 64 floats
    float* out;
    int64_t out_stride;
};

// Votes of four parents' maps into a child's map, in place.
struct BackwardMap {
    const float* parents[4];  // row before and column before, before and next, next and before, next and next; or null
    const float* zeros;       // a row of zeros with 16 more before it
    int64_t upper_rows, upper_columns, upper_stride;
    float* map;
    int64_t rows, columns, stride;
    float* scratch;  // backward_scratch(upper_stride) floats
};

inline int64_t backward_scratch(int64_t upper_stride) { return 14 * (upper_stride + 64); }

// Scores of one row of windows of level 0.
struct ScoreRow {
    const float* values;      // rectified maxima of the allowed pixels, but of the last window
    float last;               // that of the last window
    const float* parents[4];  // rows of the four parents, shifted by the caller; the float before and after exist
    int64_t count, stride;
    const float* filter;      // or null: only scores above are candidates
    float* scores;            // -1 from count to stride
    int32_t* candidates;      // columns whose score is above the filter
    int64_t num_candidates;   // written
    float largest;            // written
};

// The two largest of what a row saw so far, lane by lane: column c was seen by lane c % 16.
struct Lanes {
    float best[HALF], second[HALF];
    int32_t where[HALF];
};

// A tile's products joined into what its rows and its columns saw so far.
struct TwoLargest {
    const float* products;  // 12 x 32
    int64_t rows, columns;  // of the tile that exist
    int32_t first_row, first_column;
    Lanes* row_states;
    float *columns_best, *columns_second;
    int32_t* columns_where;
};

// A tile as pooled cells of 2 x 2 pixels on both sides.
constexpr int64_t POOLED_ROWS = TILE_ROWS / 4, POOLED_COLUMNS = TILE_COLUMNS / 4;

struct CpuOps {
    const char* name;
    // a: channels x 12, b: channels x 32, 64-byte aligned. Rows of the two halves are `stride` floats apart.
    // `largest` (32 floats or null): maximum over the rows, joined with what is there.
    void (*tile)(const float* a, const float* b, int64_t channels, float* half0, float* half1, int64_t stride,
                 float* largest);
    // The same of pairs of bfloat16, channels / 2 of them; null where there is no instruction.
    void (*tile_bfloat16)(const uint32_t* a, const uint32_t* b, int64_t pairs, float* half0, float* half1,
                          int64_t stride, float* largest);
    void (*window_row)(const WindowRow& job, const Rectification& rectification);
    void (*aggregate_map)(const AggregateMap& job, const Rectification& rectification);
    void (*pool_map)(const PoolMap& job);
    void (*backward_map)(const BackwardMap& job);
    void (*score_row)(ScoreRow& job);
    void (*two_largest)(const TwoLargest& job);
    void (*pool_products)(const float* products, float (*largest)[8], int32_t (*offsets)[8]);
    // The largest of a row, which joins `columns` too; and the row filtered (see tp_mutual_matching_cpu).
    float (*largest_of_row)(const float* row, int64_t count, float* columns);
    void (*mutual_row)(const float* row, int64_t count, float divisor, const float* divisors, float* out);
};

// The position of window k of a row of codes, 0 to 8 in scan order: eight bytes hold sixteen.
inline int code_at(const uint8_t* codes, int64_t k) {
    const int byte = codes[(k >> 4) * 8 + (k & 7)];
    return (k & 8) ? byte >> 4 : byte & 15;
}

// The widest this processor and the environment's TRIGPOINT_ISA allow.
const CpuOps& cpu_ops();

}  // namespace trigpoint

/* Correlation kernels of trigpoint: a plain C interface over pointers, sizes and strides.
 *
 * Every function returns 0, or another number after which tp_last_error() says what is wrong in one line (of the calling
 * thread). Nothing given as const is changed. Sizes and strides are 64 bits wide; strides count elements.
 */
#ifndef TRIGPOINT_KERNELS_H
#define TRIGPOINT_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TP_ABI_VERSION 1
#define TP_EXPORT __attribute__((visibility("default")))

/* What the products are computed in; sums are always float32. */
enum { TP_FLOAT32 = 0, TP_BFLOAT16 = 1, TP_FLOAT16 = 2 };
/* What is kept for the way down: pooled maxima and positions of level 0, or nothing below level 2. */
enum { TP_STORED = 0, TP_RECOMPUTED = 1 };

/* A (channels, rows, columns) view of float32 descriptors. */
typedef struct {
    const float* data;
    int64_t rows, columns;
    int64_t channel_stride, row_stride, column_stride;
} tp_map;

/* One level above level 0; see trigpoint/kernels/pyramid.py. Weights and divisors are dense, on the host. */
typedef struct {
    int64_t grid_rows, grid_columns;  /* parents */
    int64_t rows, columns;            /* their map of image 1 */
    int64_t gap_next, gap_before;     /* parent row y has the child rows y + gap_next and y - gap_before */
    const float* child_weights;       /* the grid of the level below */
    const float* divisors;            /* grid x 4 x 4, by row mask and column mask */
} tp_level;

typedef struct {
    tp_map desc0, desc1;
    int64_t channels;
    const tp_level* levels;
    int64_t num_levels;
    double power;     /* of the rectification, 1 to 3 */
    int32_t dtype;    /* TP_FLOAT32, ... */
    int32_t positions; /* TP_STORED or TP_RECOMPUTED */
    int32_t threads;  /* CPU threads, at least 1 */
} tp_pyramid;

/* Written whole; blocks are rows1 / 4 x columns1 / 4. */
typedef struct {
    int64_t* pixel_of_patch;
    float* score_of_patch;
    int64_t* patch_of_block;
    int64_t* pixel_of_block;
    float* score_of_block;
} tp_pyramid_result;

TP_EXPORT int tp_abi_version(void);
TP_EXPORT const char* tp_last_error(void);
/* "avx512", "avx2" or "generic": what this processor runs, unless TRIGPOINT_ISA in the environment names a lesser one. */
TP_EXPORT const char* tp_cpu_isa(void);
/* 1 where TP_BFLOAT16 has instructions of its own; elsewhere rounded descriptors go through the float32 ones. */
TP_EXPORT int tp_cpu_has_bfloat16(void);

TP_EXPORT int tp_match_pyramid_cpu(const tp_pyramid* problem, const tp_pyramid_result* result);
/* Bytes of workspace that tp_match_pyramid_cpu takes for the problem (descriptors' data are not looked at). */
TP_EXPORT int64_t tp_pyramid_cpu_bytes(const tp_pyramid* problem);
/* Seconds of the calling thread's last call: packing, products with what is fused, levels, read-out. */
TP_EXPORT void tp_last_cpu_seconds(double seconds[4]);

/* `rows` vectors of float32. */
typedef struct {
    const float* data;
    int64_t rows, row_stride, column_stride;
} tp_rows;

typedef struct {
    tp_rows desc0, desc1;
    int64_t channels;
    int32_t threads;
} tp_two_nearest;

/* For every row: the index of the other side's row with the largest dot product (of equal ones the first), its value,
 * and the second largest, -inf if there is none. */
typedef struct {
    int64_t* index0;
    float *best0, *second0;
    int64_t* index1;
    float *best1, *second1;
} tp_two_nearest_result;

TP_EXPORT int tp_two_nearest_cpu(const tp_two_nearest* problem, const tp_two_nearest_result* result);

typedef struct {
    tp_map desc0, desc1;
    int64_t channels;
    int64_t pooling; /* 1, or 2: the largest product of 2 x 2 x 2 x 2 pixels */
    int32_t threads;
} tp_correlation;

/* Products (rows0, columns0, rows1, columns1) / pooling; `offsets` (of the same shape, not touched where pooling is 1):
 * 8 row0 + 4 column0 + 2 row1 + column1 of the largest inside its cells, of equal ones the least. */
TP_EXPORT int tp_correlate_cpu(const tp_correlation* problem, float* volume, uint8_t* offsets);
/* c * ((c / (largest of its row + floor)) * (c / (largest of its column + floor))) of a dense (cells0, cells1) matrix. */
TP_EXPORT int tp_mutual_matching_cpu(const float* volume, int64_t cells0, int64_t cells1, float floor, int32_t threads,
                                     float* out);

/* 1 where the CUDA side was compiled in. */
TP_EXPORT int tp_cuda_built(void);
/* Number of CUDA devices; 0 where there is none or no driver (tp_last_error says which). */
TP_EXPORT int tp_cuda_devices(void);
/* Bytes of device memory tp_match_pyramid_cuda needs as its workspace, or -1. */
TP_EXPORT int64_t tp_pyramid_cuda_bytes(const tp_pyramid* problem);
/* On the current device and `stream` (a cudaStream_t); returns before it is done. Every pointer inside `problem` and
 * `result` is device memory, the levels' weights and divisors too; the array of levels itself is on the host. The
 * workspace is aligned to 256 bytes. With 16-bit products levels from 1 on are stored as float16, level 0 and the scores
 * are float32. */
TP_EXPORT int tp_match_pyramid_cuda(const tp_pyramid* problem, const tp_pyramid_result* result, void* workspace,
                                    void* stream);

/* The workspace is kept between calls and grows to the largest; this returns it to the system. */
TP_EXPORT int64_t tp_cpu_workspace_bytes(void);
TP_EXPORT void tp_free_cpu_workspace(void);

#ifdef __cplusplus
}
#endif
#endif

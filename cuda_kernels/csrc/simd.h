// Vectors of float of the width this translation unit is compiled for; GCC vector extensions, few intrinsics.
// Everything is static: the same functions compiled for another instruction set must not replace these at link time.
#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
constexpr int PANEL = 16;  // windows (and even, and odd columns) handled together, whatever the width of a vector
static_assert(PANEL % LANES == 0, "a panel holds whole vectors");

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef float VecAt __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t IntsAt __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const VecAt*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<VecAt*>(p) = v; }
inline Ints load_ints(const int32_t* p) { return *reinterpret_cast<const IntsAt*>(p); }
inline void store_ints(int32_t* p, Ints v) { *reinterpret_cast<IntsAt*>(p) = v; }
inline Vec all(float x) { return x - Vec{}; }
inline Ints all_ints(int32_t x) { return x - Ints{}; }

inline Ints lane_numbers() {
    Ints lanes;
    for (int i = 0; i < LANES; ++i) lanes[i] = i;
    return lanes;
}

#if defined(__AVX512F__)
inline Vec larger(Vec a, Vec b) { return (Vec)_mm512_max_ps((__m512)a, (__m512)b); }
inline Vec root(Vec a) { return (Vec)_mm512_sqrt_ps((__m512)a); }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
inline bool any(Ints m) { return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0; }
#elif defined(__AVX2__)
inline Vec larger(Vec a, Vec b) { return (Vec)_mm256_max_ps((__m256)a, (__m256)b); }
inline Vec root(Vec a) { return (Vec)_mm256_sqrt_ps((__m256)a); }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
inline bool any(Ints m) { return _mm256_movemask_ps((__m256)m) != 0; }
#else
inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }
inline Vec root(Vec a) {
    for (int i = 0; i < LANES; ++i) a[i] = sqrtf(a[i]);
    return a;
}
inline Vec multiply_add(Vec a, Vec b, Vec c) { return a * b + c; }
inline bool any(Ints m) {
    int32_t found = 0;
    for (int i = 0; i < LANES; ++i) found |= m[i];
    return found != 0;
}
#endif

// Columns 0, 2, 4, ... and 1, 3, 5, ... of two neighbouring vectors, and back.
#if defined(__AVX512F__)
inline Vec evens(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
inline Vec odds(Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
inline Vec interleave_low(Vec e, Vec o) {
    return __builtin_shufflevector(e, o, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline Vec interleave_high(Vec e, Vec o) {
    return __builtin_shufflevector(e, o, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#elif defined(__AVX2__)
inline Vec evens(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14); }
inline Vec odds(Vec a, Vec b) { return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15); }
inline Vec interleave_low(Vec e, Vec o) { return __builtin_shufflevector(e, o, 0, 8, 1, 9, 2, 10, 3, 11); }
inline Vec interleave_high(Vec e, Vec o) { return __builtin_shufflevector(e, o, 4, 12, 5, 13, 6, 14, 7, 15); }
#else
inline Vec evens(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6); }
inline Vec odds(Vec a, Vec b) { return __builtin_shufflevector(a, b, 1, 3, 5, 7); }
inline Vec interleave_low(Vec e, Vec o) { return __builtin_shufflevector(e, o, 0, 4, 1, 5); }
inline Vec interleave_high(Vec e, Vec o) { return __builtin_shufflevector(e, o, 2, 6, 3, 7); }
#endif

}  // namespace

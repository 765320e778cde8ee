// What the CUDA side and its emulation by a host compiler share: the marks of device functions, 16-bit numbers, keys.
//
// Everything but the tensor-core product is written as functions over one output element, so that the same source runs
// under nvcc and, element after element, under g++, where tests compare it with the reference.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define TP_HD __host__ __device__ __forceinline__
#define TP_DEVICE __device__ __forceinline__
#else
#define TP_HD inline
#define TP_DEVICE inline
#endif

namespace trigpoint {

TP_HD uint32_t bits_of(float value) {
#if defined(__CUDA_ARCH__)
    return __float_as_uint(value);
#else
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
#endif
}

TP_HD float float_of(uint32_t bits) {
#if defined(__CUDA_ARCH__)
    return __uint_as_float(bits);
#else
    float value;
    memcpy(&value, &bits, 4);
    return value;
#endif
}

// IEEE binary16 and bfloat16 in memory; arithmetic is float32, rounded to nearest even.
struct Half {
    uint16_t bits;
};
struct Bfloat {
    uint16_t bits;
};

TP_HD uint16_t half_bits(float value) {
#if defined(__CUDA_ARCH__)
    return __half_as_ushort(__float2half_rn(value));
#else
    uint32_t bits = bits_of(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits >= 0x47800000) return (uint16_t)(sign | (bits > 0x7f800000 ? 0x7e00 : 0x7c00));
    if (bits < 0x38800000) return (uint16_t)(sign | (bits_of(float_of(bits) + 0.5f) - 0x3f000000));  // subnormal
    bits += 0xc8000fff + (bits >> 13 & 1);
    return (uint16_t)(sign | bits >> 13);
#endif
}

TP_HD float half_value(uint16_t half) {
#if defined(__CUDA_ARCH__)
    return __half2float(__ushort_as_half(half));
#else
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 31) return float_of(sign | 0x7f800000 | fraction << 13);
    if (exponent) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    return float_of(sign | bits_of((float)fraction * 0x1p-24f));
#endif
}

TP_HD void put(float value, float* at) { *at = value; }
TP_HD void put(float value, Half* at) { at->bits = half_bits(value); }
TP_HD void put(float value, Bfloat* at) {
    const uint32_t bits = bits_of(value);
    at->bits = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
TP_HD float value_of(float stored) { return stored; }
TP_HD float value_of(Half stored) { return half_value(stored.bits); }
TP_HD float value_of(Bfloat stored) { return float_of((uint32_t)stored.bits << 16); }

TP_HD float larger_of(float a, float b) { return a > b ? a : b; }

// max(value, 0) ** power, as trigpoint/kernels/pyramid_reference.py rectifies.
TP_HD float rectified(float value, double power) {
    const float positive = value > 0 ? value : 0;
    if (power == 1.5) return positive * sqrtf(positive);
    if (power == 1) return positive;
    if (power == 2) return positive * positive;
    return (float)pow((double)positive, power);
}

// Orders (score, index) by score, then by the smaller index; scores are not negative. 0 is below every key.
typedef uint64_t Key;

TP_HD Key key_of(float score, uint32_t index) { return (Key)bits_of(score) << 32 | (0xffffffffu - index); }
TP_HD float score_of(Key key) { return float_of((uint32_t)(key >> 32)); }
TP_HD uint32_t index_of(Key key) { return 0xffffffffu - (uint32_t)key; }
TP_HD Key larger_of(Key a, Key b) { return a > b ? a : b; }

}  // namespace trigpoint

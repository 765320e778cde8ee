// Rectification of one value, and the smallest value that rectifies equally. Static: compiled per instruction set.
#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tile_ops.h"

namespace {

using trigpoint::Power;

constexpr float LOWEST = -FLT_MAX;
constexpr float TINY = 1e-20f;  // below, a power may underflow, and more than two neighbours rectify equally

template <Power KIND>
inline float rectify(float value, double power) {
    const float positive = value > 0 ? value : 0;
    if (KIND == Power::one_and_a_half) return positive * sqrtf(positive);
    if (KIND == Power::one) return positive;
    if (KIND == Power::two) return positive * positive;
    return (float)pow((double)positive, power);
}

inline float next_below(float value) {
    int32_t bits;
    memcpy(&bits, &value, 4);
    --bits;
    memcpy(&value, &bits, 4);
    return value;
}

// The smallest value that rectifies as the maximum of a window does. Two neighbouring floats may rectify equally,
// never three, but for tiny ones; a window without a positive value ties from its first pixel on.
template <Power KIND>
[[maybe_unused]] float threshold(float most, double power) {
    if (!(most > 0)) return LOWEST;
    const float target = rectify<KIND>(most, power);
    if (most >= TINY) {
        const float below = next_below(most);
        return rectify<KIND>(below, power) == target ? below : most;
    }
    if (target == 0) return LOWEST;
    int32_t low = 0, high;  // bits: rectify(low) < target <= rectify(high)
    memcpy(&high, &most, 4);
    while (high - low > 1) {
        const int32_t middle = low + (high - low) / 2;
        float value;
        memcpy(&value, &middle, 4);
        (rectify<KIND>(value, power) == target ? high : low) = middle;
    }
    float value;
    memcpy(&value, &high, 4);
    return value;
}

[[maybe_unused]] inline float rectify_any(float value, const trigpoint::Rectification& r) {
    switch (r.kind) {
        case Power::one_and_a_half: return rectify<Power::one_and_a_half>(value, r.power);
        case Power::one: return rectify<Power::one>(value, r.power);
        case Power::two: return rectify<Power::two>(value, r.power);
        default: return rectify<Power::any>(value, r.power);
    }
}

[[maybe_unused]] inline float threshold_any(float most, const trigpoint::Rectification& r) {
    switch (r.kind) {
        case Power::one_and_a_half: return threshold<Power::one_and_a_half>(most, r.power);
        case Power::one: return threshold<Power::one>(most, r.power);
        case Power::two: return threshold<Power::two>(most, r.power);
        default: return threshold<Power::any>(most, r.power);
    }
}

}  // namespace

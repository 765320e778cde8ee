// The CUDA side's pyramid on the host: the same schedule and the same functions, one element after the other, the
// products in the order of the channels. Only the tensor-core product itself is not run here.
#include <string>
#include <vector>

#include "pyramid_schedule.h"

namespace trigpoint {
namespace {

std::string last_error;

struct OneThread {
    template <typename Item>
    void each(uint32_t count, const Item& item) const {
        for (uint32_t i = 0; i < count; ++i) item(i);
    }
};

struct HostLauncher {
    bool failed() const { return false; }

    template <typename Function>
    void each(const Function& function, int64_t outer, int64_t inner) {
        for (int64_t i = 0; i < outer; ++i)
            for (int64_t j = 0; j < inner; ++j) function(i, (uint32_t)j);
    }

    template <typename Layout, typename Task>
    void tiles(const Task& task) {
        const int64_t groups = (task.input.num_patches + Layout::PATCHES - 1) / Layout::PATCHES;
        std::vector<float> values(Layout::PATCHES * Layout::STRIDE);
        std::vector<Key> scratch(Task::template scratch_bytes<Layout>() / sizeof(Key) + 1);
        for (int64_t block = 0; block < groups * task.input.num_tiles(); ++block) {
            const TilePlace place = tile_place<Layout>(task.input, block);
            for (uint32_t patch = 0; patch < Layout::PATCHES; ++patch)
                for (uint32_t pixel = 0; pixel < Layout::STRIDE; ++pixel)
                    values[patch * Layout::STRIDE + pixel] =
                        product(task.input.stride, tile_patch(task.input, place, patch),
                                tile_pixel<Layout>(task.input, place, pixel));
            task.template finish<Layout>(OneThread{}, place, values.data(), reinterpret_cast<char*>(scratch.data()));
        }
    }

    template <typename Word>
    static float product(uint32_t channels, const Word* a, const Word* b) {
        float sum = 0;
        if (!a || !b) return sum;
        for (uint32_t c = 0; c < channels; ++c) sum = fmaf(value_of(a[c]), value_of(b[c]), sum);
        return sum;
    }
};

}  // namespace

int fail(const std::string& message) {
    last_error = message;
    return 1;
}

}  // namespace trigpoint

extern "C" TP_EXPORT const char* tp_emulated_error(void) { return trigpoint::last_error.c_str(); }

extern "C" TP_EXPORT int64_t tp_pyramid_emulated_bytes(const tp_pyramid* problem, int64_t scratch) {
    int64_t bytes = -1;
    trigpoint::with_schedule(*problem, nullptr, [&](const auto& schedule) {
        bytes = schedule.bytes();
        return 0;
    }, scratch);
    return bytes;
}

extern "C" TP_EXPORT int tp_match_pyramid_emulated(const tp_pyramid* problem, const tp_pyramid_result* result,
                                                   void* workspace, int64_t scratch) {
    if (trigpoint::refuse(*problem)) return 1;
    return trigpoint::with_schedule(*problem, static_cast<char*>(workspace), [&](const auto& schedule) {
        trigpoint::HostLauncher launcher;
        schedule.run(launcher, *result);
        return 0;
    }, scratch);
}

// The CUDA side's pyramid on the host: the same schedule and the same functions, one element after the other, the
// staging of descriptors and the blocks' phases included. Only the tensor cores' own arithmetic is not run here.
#include <string>
#include <vector>

#include "pyramid_block.h"
#include "pyramid_schedule.h"

namespace trigpoint {
namespace {

std::string last_error;

// A block of threads, one after the other.
struct OneThread {
    template <typename Item>
    void each(uint32_t count, const Item& item) const {
        for (uint32_t i = 0; i < count; ++i) item(i);
    }
    template <typename Work>
    void warps(const Work& work) const {
        for (uint32_t warp = 0; warp < WARPS; ++warp) work(warp);
    }
    template <typename Work>
    void lanes(const Work& work) const {
        for (uint32_t lane = 0; lane < WARP; ++lane) work(lane);
    }
    template <typename Layout, typename Word>
    void multiply(const char* patches, const char* pixels, uint32_t row, uint32_t stride, float* out) const {
        if constexpr (sizeof(Word) == 4) {
            lanes([&](uint32_t lane) { float_product<Layout>(lane, patches, pixels, row, stride, out); });
        } else {
            fragments<Layout, Word>(patches, pixels, row, stride, out);
        }
    }

  private:
    // The addresses of the tensor-core product: 16 x 16 sums over 16 channels at a time.
    template <typename Layout, typename Word>
    static void fragments(const char* patches, const char* pixels, uint32_t row, uint32_t stride, float* out) {
        const uint32_t words = row / (uint32_t)sizeof(Word);
        const Word* const a = reinterpret_cast<const Word*>(patches);
        const Word* const b = reinterpret_cast<const Word*>(pixels);
        for (uint32_t m = 0; m < Layout::PATCHES; ++m)
            for (uint32_t n = 0; n < CHUNK; ++n) {
                float sum = 0;
                for (uint32_t c = 0; c < stride; ++c) sum = fmaf(value_of(a[m * words + c]), value_of(b[n * words + c]), sum);
                out[m * Layout::STRIDE + n] = sum;
            }
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
        tiles_of<Layout>(task, task.input);
    }

  private:
    template <typename Layout, typename Task, typename Word>
    void tiles_of(const Task& task, const TileInput<Word>& input) {
        struct alignas(128) Line {
            char bytes[128];
        };
        const int64_t groups = (input.num_patches + Layout::PATCHES - 1) / Layout::PATCHES;
        std::vector<Line> shared((shared_bytes<Layout, Word, Task>(input.stride) + sizeof(Line) - 1) / sizeof(Line));
        for (int64_t block = 0; block < groups * input.num_tiles(); ++block)
            make_tile<Layout, Word>(OneThread{}, task, block, shared[0].bytes);
    }
};

}  // namespace

int fail(const std::string& message) {
    last_error = message;
    return 1;
}

}  // namespace trigpoint

static int64_t scratch = trigpoint::SCRATCH_BYTES;

extern "C" TP_EXPORT void tp_emulated_scratch(int64_t bytes) { scratch = bytes; }

extern "C" TP_EXPORT const char* tp_emulated_error(void) { return trigpoint::last_error.c_str(); }

int64_t tp_pyramid_cuda_bytes(const tp_pyramid* problem) {
    int64_t bytes = -1;
    if (trigpoint::refuse(*problem)) return bytes;
    const auto count = [&](const auto& schedule) {
        bytes = schedule.bytes();
        return 0;
    };
    trigpoint::with_schedule(*problem, nullptr, count, scratch);
    return bytes;
}

int tp_match_pyramid_cuda(const tp_pyramid* problem, const tp_pyramid_result* result, void* workspace, void*) {
    if (trigpoint::refuse(*problem)) return 1;
    const auto run = [&](const auto& schedule) {
        trigpoint::HostLauncher launcher;
        schedule.run(launcher, *result);
        return 0;
    };
    return trigpoint::with_schedule(*problem, static_cast<char*>(workspace), run, scratch);
}

// The pyramid's launches on a GPU: tensor-core products for 16-bit descriptors, exact float32 ones otherwise.
#include <cuda_runtime.h>
#include <mma.h>

#include "pyramid_block.h"
#include "pyramid_schedule.h"

namespace trigpoint {
namespace {

template <typename Function>
__global__ void each_kernel(const Function function, uint32_t inner) {
    const uint32_t j = blockIdx.y * blockDim.x + threadIdx.x;
    if (j < inner) function((int64_t)blockIdx.x, j);
}

// function(i, j) as one index over outer * inner.
template <typename Function>
struct Flat {
    Function function;
    int64_t inner, count;
    TP_HD void operator()(int64_t block, uint32_t thread) const {
        const int64_t index = block * THREADS + thread;
        if (index < count) function(index / inner, (uint32_t)(index % inner));
    }
};

template <typename Word>
struct Native;
template <>
struct Native<Half> {
    typedef __half type;
};
template <>
struct Native<Bfloat> {
    typedef __nv_bfloat16 type;
};

// CHUNK pixels times all patches by one warp, on tensor cores: 16 x 16 products a fragment, sums in float32.
template <typename Layout, typename Word>
__device__ __forceinline__ void tensor_product(const char* patches, const char* pixels, uint32_t row, uint32_t stride,
                                               float* out) {
    using namespace nvcuda::wmma;
    typedef typename Native<Word>::type Number;
    fragment<accumulator, 16, 16, 16, float> sums[Layout::PATCHES / 16];
#pragma unroll
    for (uint32_t i = 0; i < Layout::PATCHES / 16; ++i) fill_fragment(sums[i], 0.0f);
    const uint32_t words = row / (uint32_t)sizeof(Word);
    const Number* const a = reinterpret_cast<const Number*>(patches);
    const Number* const b = reinterpret_cast<const Number*>(pixels);
    for (uint32_t c = 0; c < stride; c += 16) {
        fragment<matrix_b, 16, 16, 16, Number, col_major> columns;
        load_matrix_sync(columns, b + c, words);
#pragma unroll
        for (uint32_t i = 0; i < Layout::PATCHES / 16; ++i) {
            fragment<matrix_a, 16, 16, 16, Number, row_major> rows;
            load_matrix_sync(rows, a + i * 16 * words + c, words);
            mma_sync(sums[i], rows, columns, sums[i]);
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < Layout::PATCHES / 16; ++i)
        store_matrix_sync(out + i * 16 * Layout::STRIDE, sums[i], Layout::STRIDE, mem_row_major);
}

// The block of threads that makes a tile.
struct Block {
    template <typename Item>
    __device__ __forceinline__ void each(uint32_t count, const Item& item) const {
        for (uint32_t i = threadIdx.x; i < count; i += THREADS) item(i);
        __syncthreads();
    }
    template <typename Work>
    __device__ __forceinline__ void warps(const Work& work) const {
        work(threadIdx.x / WARP);
        __syncthreads();
    }
    template <typename Work>
    __device__ __forceinline__ void lanes(const Work& work) const {
        work(threadIdx.x % WARP);
        __syncwarp();
    }
    template <typename Layout, typename Word>
    __device__ __forceinline__ void multiply(const char* patches, const char* pixels, uint32_t row, uint32_t stride,
                                             float* out) const {
        if constexpr (sizeof(Word) == 2) {
            tensor_product<Layout, Word>(patches, pixels, row, stride, out);
        } else {
            float_product<Layout>(threadIdx.x % WARP, patches, pixels, row, stride, out);
        }
        __syncwarp();
    }
};

template <typename Layout, typename Word, typename Task>
__global__ void __launch_bounds__(THREADS) tile_kernel(const Task task) {
    extern __shared__ __align__(128) char shared[];
    make_tile<Layout, Word>(Block{}, task, (int64_t)blockIdx.x, shared);
}

class CudaLauncher {
  public:
    explicit CudaLauncher(cudaStream_t stream) : stream_(stream) {}
    bool failed() const { return error_ != cudaSuccess; }
    cudaError_t error() const { return error_; }

    template <typename Function>
    void each(const Function& function, int64_t outer, int64_t inner) {
        if (failed() || outer <= 0 || inner <= 0) return;
        if (inner == 1) return flat(function, outer, 1);
        const uint32_t threads = inner >= THREADS ? THREADS : (uint32_t)((inner + WARP - 1) / WARP * WARP);
        // blocks of the second dimension are few: a map of more cells than they hold goes to the first
        const int64_t chunks = (inner + threads - 1) / threads;
        if (outer > INT32_MAX || inner > UINT32_MAX || chunks > MOST_CHUNKS) return flat(function, outer, inner);
        each_kernel<<<dim3((uint32_t)outer, (uint32_t)chunks), threads, 0, stream_>>>(function, (uint32_t)inner);
        error_ = cudaGetLastError();
    }

    template <typename Layout, typename Task>
    void tiles(const Task& task) {
        tiles_of<Layout>(task, task.input);
    }

  private:
    static constexpr int64_t MOST_CHUNKS = 65535;

    template <typename Function>
    void flat(const Function& function, int64_t outer, int64_t inner) {
        const int64_t blocks = (outer * inner + THREADS - 1) / THREADS;
        if (blocks > INT32_MAX) {
            error_ = cudaErrorInvalidConfiguration;
            return;
        }
        each_kernel<<<dim3((uint32_t)blocks, 1), THREADS, 0, stream_>>>(Flat<Function>{function, inner, outer * inner}, THREADS);
        error_ = cudaGetLastError();
    }

    template <typename Layout, typename Task, typename Word>
    void tiles_of(const Task& task, const TileInput<Word>& input) {
        if (failed()) return;
        const int64_t groups = (input.num_patches + Layout::PATCHES - 1) / Layout::PATCHES;
        const int64_t blocks = groups * input.num_tiles();
        const uint32_t bytes = shared_bytes<Layout, Word, Task>(input.stride);
        const auto kernel = tile_kernel<Layout, Word, Task>;
        if (blocks > INT32_MAX) {
            error_ = cudaErrorInvalidConfiguration;
            return;
        }
        // fails where the descriptors are too wide for this device's shared memory
        error_ = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
        if (failed()) return;
        kernel<<<(uint32_t)blocks, THREADS, bytes, stream_>>>(task);
        error_ = cudaGetLastError();
    }

    cudaStream_t stream_;
    cudaError_t error_ = cudaSuccess;
};

int fail_with(const char* action, cudaError_t error) {
    cudaGetLastError();  // an error of ours must not meet the next caller
    return fail(std::string(action) + ": " + cudaGetErrorString(error));
}

// A tile needs more shared memory than smaller devices of a supported architecture have: 0, or the number of fail().
template <typename SomeSchedule>
int refuse_small_device(const SomeSchedule& schedule) {
    typedef typename SomeSchedule::WordType Word;
    const uint32_t needed = shared_bytes<typename SomeSchedule::DownLayout, Word, typename SomeSchedule::LargestTask>(schedule.stride());
    int device = 0, most = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (error != cudaSuccess) return fail_with("looking at the CUDA device", error);
    if (needed <= (uint32_t)most) return 0;
    return fail("a tile of these descriptors takes " + std::to_string(needed >> 10) + " KiB of shared memory, the device has " +
                std::to_string(most >> 10) + ": use backend reference, or cpu");
}

}  // namespace
}  // namespace trigpoint

using namespace trigpoint;

int tp_cuda_built(void) { return 1; }

int tp_cuda_devices(void) {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count > 0) return count;
    if (error == cudaSuccess || error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver) {
        cudaGetLastError();
        fail("no CUDA device");
        return 0;
    }
    fail_with("looking for CUDA devices", error);
    return 0;
}

int64_t tp_pyramid_cuda_bytes(const tp_pyramid* problem) {
    int64_t bytes = -1;
    if (refuse(*problem)) return bytes;
    with_schedule(*problem, nullptr, [&](const auto& schedule) {
        bytes = schedule.bytes();
        return 0;
    });
    return bytes;
}

int tp_match_pyramid_cuda(const tp_pyramid* problem, const tp_pyramid_result* result, void* workspace, void* stream) {
    if (refuse(*problem)) return 1;
    if (tp_cuda_devices() == 0) return 1;
    return with_schedule(*problem, static_cast<char*>(workspace), [&](const auto& schedule) {
        if (refuse_small_device(schedule)) return 1;
        CudaLauncher launcher(static_cast<cudaStream_t>(stream));
        schedule.run(launcher, *result);
        return launcher.failed() ? fail_with("matching a pyramid on the GPU", launcher.error()) : 0;
    });
}

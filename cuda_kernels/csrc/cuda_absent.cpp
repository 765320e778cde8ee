// What the library answers where it was built without nvcc.
#include "library.h"
#include "trigpoint_kernels.h"

namespace {
int absent() { return trigpoint::fail("this library was built without CUDA: install nvcc and run `make kernels`"); }
}  // namespace

int tp_cuda_built(void) { return 0; }
int tp_cuda_devices(void) {
    absent();
    return 0;
}
int64_t tp_pyramid_cuda_bytes(const tp_pyramid*) {
    absent();
    return -1;
}
int tp_match_pyramid_cuda(const tp_pyramid*, const tp_pyramid_result*, void*, void*) { return absent(); }

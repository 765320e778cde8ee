#include "workspace.h"

#include <sys/mman.h>

#include <mutex>
#include <new>
#include <utility>

namespace trigpoint {
namespace {

constexpr int64_t HUGE_PAGE = 2 << 20;

std::mutex mutex;
char* kept_data = nullptr;
int64_t kept_bytes = 0;
bool kept_in_use = false;

char* map_memory(int64_t bytes) {
    void* data = mmap(nullptr, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(data, (size_t)bytes, MADV_HUGEPAGE);  // an advice: where it is refused small pages do
#endif
    return static_cast<char*>(data);
}

void unmap(char* data, int64_t bytes) {
    if (!data) return;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(data, (size_t)bytes);
#endif
    munmap(data, (size_t)bytes);
}

}  // namespace

Workspace::Workspace(int64_t bytes) {
    bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    std::lock_guard<std::mutex> lock(mutex);
    if (kept_in_use) {
        data_ = map_memory(bytes);
        bytes_ = bytes;
        return;
    }
    if (kept_bytes < bytes) {
        unmap(std::exchange(kept_data, nullptr), std::exchange(kept_bytes, 0));
        kept_data = map_memory(bytes);
        kept_bytes = bytes;
    }
    kept_in_use = kept_ = true;
    data_ = kept_data;
    bytes_ = kept_bytes;
}

Workspace::~Workspace() {
    std::lock_guard<std::mutex> lock(mutex);
    if (kept_) {
        kept_in_use = false;
    } else {
        unmap(data_, bytes_);
    }
}

int64_t kept_workspace_bytes() {
    std::lock_guard<std::mutex> lock(mutex);
    return kept_bytes;
}

void free_kept_workspace() {
    std::lock_guard<std::mutex> lock(mutex);
    if (!kept_in_use) unmap(std::exchange(kept_data, nullptr), std::exchange(kept_bytes, 0));
}

}  // namespace trigpoint

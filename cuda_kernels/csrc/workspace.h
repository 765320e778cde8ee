// Memory for the time of one call, kept for the next one: the first touch of gigabytes costs more than their arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace trigpoint {

// A block of memory; takes the kept one if no other call has it, grown to `bytes` where it is smaller.
class Workspace {
  public:
    explicit Workspace(int64_t bytes);  // throws std::bad_alloc
    ~Workspace();
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    char* data() const { return data_; }

  private:
    char* data_ = nullptr;
    int64_t bytes_ = 0;
    bool kept_ = false;
};

// Hands out pieces of a block, or, without one, counts what they take.
class Pieces {
  public:
    explicit Pieces(char* data) : data_(data) {}
    template <typename T>
    T* take(int64_t count) {
        T* piece = data_ ? reinterpret_cast<T*>(data_ + used_) : nullptr;
        const int64_t end = used_ + count * (int64_t)sizeof(T);
        used_ = (end + 63) / 64 * 64;
#if defined(__SANITIZE_ADDRESS__)  // what lies between two pieces is nobody's
        used_ += 64;
        if (data_) __asan_unpoison_memory_region(piece, count * sizeof(T));
        if (data_) __asan_poison_memory_region(data_ + end, used_ - end);
#endif
        return piece;
    }
    int64_t used() const { return used_; }

  private:
    char* data_;
    int64_t used_ = 0;
};

int64_t kept_workspace_bytes();
void free_kept_workspace();

}  // namespace trigpoint

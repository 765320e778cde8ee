// A team of threads for the time of one call: loops whose items are dealt one by one, in order, to whoever is free.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace trigpoint {

class Team {
  public:
    explicit Team(int size) {
        for (int i = 1; i < size; ++i) threads_.emplace_back([this, i] { wait_for_work(i); });
    }
    ~Team() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            finished_ = true;
        }
        start_.notify_all();
        for (std::thread& thread : threads_) thread.join();
    }
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    int size() const { return (int)threads_.size() + 1; }

    // work(item, thread) for every item below count; returns when all are done. Must not throw.
    void run(int64_t count, const std::function<void(int64_t, int)>& work) {
        if (count <= 0) return;
        next_ = 0;
        if (threads_.empty() || count == 1) {
            for (int64_t item = 0; item < count; ++item) work(item, 0);
            return;
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_ = &work;
            count_ = count;
            busy_ = (int)threads_.size();
            ++round_;
        }
        start_.notify_all();
        take_items(0);
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return busy_ == 0; });
    }

  private:
    void take_items(int thread) {
        for (int64_t item = next_++; item < count_; item = next_++) (*work_)(item, thread);
    }
    void wait_for_work(int thread) {
        int64_t seen = 0;
        for (;;) {
            {
                std::unique_lock<std::mutex> lock(mutex_);
                start_.wait(lock, [&] { return finished_ || round_ != seen; });
                if (finished_) return;
                seen = round_;
            }
            take_items(thread);
            std::lock_guard<std::mutex> lock(mutex_);
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable start_, done_;
    const std::function<void(int64_t, int)>* work_ = nullptr;
    std::atomic<int64_t> next_{0};
    int64_t count_ = 0, round_ = 0;
    int busy_ = 0;
    bool finished_ = false;
};

}  // namespace trigpoint

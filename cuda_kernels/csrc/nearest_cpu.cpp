// The two largest dot products of every row with the rows of another matrix, in both directions: one product, in
// register tiles, reduced at once. Memory: both matrices packed, and three numbers a row.
#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "library.h"
#include "team.h"
#include "tile_ops.h"
#include "trigpoint_kernels.h"
#include "workspace.h"

namespace trigpoint {
namespace {

constexpr int64_t TASK_ROWS = 8 * TILE_ROWS;  // their packed descriptors stay in the second-level cache

// `count` rows from `first` as channels x width, zero where there is none.
void pack(const tp_rows& rows, int64_t channels, int64_t first, int64_t width, float* out) {
    const int64_t count = std::min(width, rows.rows - first);
    for (int64_t i = 0; i < width; ++i) {
        const float* from = rows.data + (first + i) * rows.row_stride;
        for (int64_t c = 0; c < channels; ++c) out[c * width + i] = i < count ? from[c * rows.column_stride] : 0;
    }
}

// What one thread knows about the columns, and its room for a task.
struct Worker {
    float *best, *second;
    int32_t* where;
    float *packed, *products;
    Lanes* rows;
};

class TwoNearest {
  public:
    TwoNearest(const tp_two_nearest& problem, const tp_two_nearest_result& result)
        : problem_(problem),
          result_(result),
          panels_((problem.desc1.rows + TILE_COLUMNS - 1) / TILE_COLUMNS),
          tasks_((problem.desc0.rows + TASK_ROWS - 1) / TASK_ROWS),
          threads_((int)std::min<int64_t>(std::max(problem.threads, 1), tasks_)) {}

    void run() {
        Pieces counted(nullptr);
        take(counted);
        Workspace workspace(counted.used());
        Pieces pieces(workspace.data());
        take(pieces);
        Team team(threads_);
        const CpuOps& ops = cpu_ops();
        team.run(panels_, [&](int64_t panel, int) {
            pack(problem_.desc1, problem_.channels, panel * TILE_COLUMNS, TILE_COLUMNS, packed_ + panel * panel_floats());
        });
        for (const Worker& worker : workers_) {
            std::fill_n(worker.best, panels_ * TILE_COLUMNS, -INFINITY);
            std::fill_n(worker.second, panels_ * TILE_COLUMNS, -INFINITY);
            std::fill_n(worker.where, panels_ * TILE_COLUMNS, 0);
        }
        // a thread meets its tasks in ascending order, so the first of equal rows stays
        team.run(tasks_, [&](int64_t task, int thread) { make(ops, task * TASK_ROWS, workers_[thread]); });
        for (int64_t column = 0; column < problem_.desc1.rows; ++column) join_column(column);
    }

  private:
    int64_t panel_floats() const { return problem_.channels * TILE_COLUMNS; }

    void take(Pieces& pieces) {
        packed_ = pieces.take<float>(panels_ * panel_floats());
        workers_.clear();
        for (int i = 0; i < threads_; ++i) {
            Worker worker;
            worker.best = pieces.take<float>(panels_ * TILE_COLUMNS);
            worker.second = pieces.take<float>(panels_ * TILE_COLUMNS);
            worker.where = pieces.take<int32_t>(panels_ * TILE_COLUMNS);
            worker.packed = pieces.take<float>(problem_.channels * TASK_ROWS);
            worker.products = pieces.take<float>(TILE_ROWS * TILE_COLUMNS);
            worker.rows = pieces.take<Lanes>(TASK_ROWS);
            workers_.push_back(worker);
        }
    }

    void make(const CpuOps& ops, int64_t first, const Worker& worker) {
        const int64_t channels = problem_.channels, count = std::min(TASK_ROWS, problem_.desc0.rows - first);
        for (int64_t row = 0; row < count; row += TILE_ROWS)
            pack(problem_.desc0, channels, first + row, TILE_ROWS, worker.packed + row * channels);
        for (int64_t row = 0; row < count; ++row) {
            std::fill_n(worker.rows[row].best, HALF, -INFINITY);
            std::fill_n(worker.rows[row].second, HALF, -INFINITY);
            std::fill_n(worker.rows[row].where, HALF, 0);
        }
        for (int64_t panel = 0; panel < panels_; ++panel) {
            const int64_t column = panel * TILE_COLUMNS;
            for (int64_t row = 0; row < count; row += TILE_ROWS) {
                ops.tile(worker.packed + row * channels, packed_ + panel * panel_floats(), channels, worker.products,
                         worker.products + HALF, TILE_COLUMNS, nullptr);
                ops.two_largest({worker.products, std::min(TILE_ROWS, count - row),
                                 std::min(TILE_COLUMNS, problem_.desc1.rows - column), (int32_t)(first + row),
                                 (int32_t)column, worker.rows + row, worker.best + column, worker.second + column,
                                 worker.where + column});
            }
        }
        for (int64_t row = 0; row < count; ++row) join_row(worker.rows[row], first + row);
    }

    // Of the lanes' largest the largest, of equal ones the first; the second largest of all.
    void join_row(const Lanes& lanes, int64_t row) {
        float best = -INFINITY, second = -INFINITY;
        int32_t where = 0;
        for (int i = 0; i < HALF; ++i) {
            join(lanes.best[i], lanes.second[i], lanes.where[i], best, second, where);
        }
        result_.index0[row] = where;
        result_.best0[row] = best;
        result_.second0[row] = second;
    }

    void join_column(int64_t column) {
        float best = -INFINITY, second = -INFINITY;
        int32_t where = 0;
        for (const Worker& worker : workers_)
            join(worker.best[column], worker.second[column], worker.where[column], best, second, where);
        result_.index1[column] = where;
        result_.best1[column] = best;
        result_.second1[column] = second;
    }

    static void join(float other, float other_second, int32_t other_where, float& best, float& second, int32_t& where) {
        if (other > best || (other == best && other_where < where)) {
            second = std::max(best, other_second);
            best = other;
            where = other_where;
        } else {
            second = std::max(second, other);
        }
    }

    tp_two_nearest problem_;
    tp_two_nearest_result result_;
    int64_t panels_, tasks_;
    int threads_;
    float* packed_ = nullptr;
    std::vector<Worker> workers_;
};

}  // namespace
}  // namespace trigpoint

int tp_two_nearest_cpu(const tp_two_nearest* problem, const tp_two_nearest_result* result) {
    using trigpoint::fail;
    if (problem->desc0.rows < 1 || problem->desc1.rows < 1 || problem->channels < 1) return fail("there are no descriptors");
    if (problem->desc0.rows >= int64_t(1) << 31 || problem->desc1.rows >= int64_t(1) << 31)
        return fail("more than 2^31 descriptors");
    try {
        trigpoint::TwoNearest(*problem, *result).run();
    } catch (const std::bad_alloc&) {
        return fail("not enough memory for nearest neighbours");
    }
    return 0;
}

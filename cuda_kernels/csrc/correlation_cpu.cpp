// NCNet's dense correlation of two feature maps, pooled over 2 x 2 x 2 x 2 cells as it is made, and its mutual filter.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include "library.h"
#include "team.h"
#include "tile_ops.h"
#include "trigpoint_kernels.h"
#include "workspace.h"

namespace trigpoint {
namespace {

constexpr int64_t TASK_TILES = 8;

// The cells of one side: pooled ones, in the order of the volume, and where each of their pixels is.
struct Side {
    tp_map map;
    int64_t pooling, columns, cells;

    Side(const tp_map& map, int64_t pooling)
        : map(map), pooling(pooling), columns(map.columns / pooling), cells(map.rows / pooling * columns) {}

    const float* at(int64_t cell, int64_t offset) const {
        const int64_t row = cell / columns * pooling + offset / pooling;
        const int64_t column = cell % columns * pooling + offset % pooling;
        return map.data + row * map.row_stride + column * map.column_stride;
    }
};

class Correlation {
  public:
    Correlation(const tp_correlation& problem, float* volume, uint8_t* offsets)
        : problem_(problem),
          side0_(problem.desc0, problem.pooling),
          side1_(problem.desc1, problem.pooling),
          per_cell_(problem.pooling * problem.pooling),
          rows_(TILE_ROWS / per_cell_),
          columns_(TILE_COLUMNS / per_cell_),
          volume_(volume),
          offsets_(offsets) {}

    void run() {
        const int64_t tiles0 = (side0_.cells + rows_ - 1) / rows_, panels = (side1_.cells + columns_ - 1) / columns_;
        const int64_t tasks = (tiles0 + TASK_TILES - 1) / TASK_TILES, channels = problem_.channels;
        const int threads = (int)std::min<int64_t>(std::max(problem_.threads, 1), tasks);
        Pieces counted(nullptr);
        take(counted, panels, threads);
        Workspace workspace(counted.used());
        Pieces pieces(workspace.data());
        const Room room = take(pieces, panels, threads);
        Team team(threads);
        const CpuOps& ops = cpu_ops();
        team.run(panels, [&](int64_t panel, int) {
            // offset by offset: the pooled maxima of a panel are then whole vectors
            for (int64_t i = 0; i < TILE_COLUMNS; ++i)
                pack(side1_, panel * columns_ + i % columns_, i / columns_, TILE_COLUMNS, room.packed1 + panel * TILE_COLUMNS * channels + i);
        });
        team.run(tasks, [&](int64_t task, int thread) {
            float* const packed0 = room.packed0[(size_t)thread];
            const int64_t first = task * TASK_TILES, tiles = std::min(TASK_TILES, tiles0 - first);
            for (int64_t i = 0; i < tiles * TILE_ROWS; ++i)
                pack(side0_, first * rows_ + i / per_cell_, i % per_cell_, TILE_ROWS,
                     packed0 + i / TILE_ROWS * TILE_ROWS * channels + i % TILE_ROWS);
            for (int64_t panel = 0; panel < panels; ++panel)
                for (int64_t tile = 0; tile < tiles; ++tile)
                    make(ops, packed0 + tile * TILE_ROWS * channels, room.packed1 + panel * TILE_COLUMNS * channels,
                         room.products[(size_t)thread], (first + tile) * rows_, panel * columns_);
        });
    }

  private:
    // Side 1 packed, and every thread's packed tiles and products.
    struct Room {
        float* packed1;
        std::vector<float*> packed0, products;
    };

    Room take(Pieces& pieces, int64_t panels, int threads) const {
        Room room = {pieces.take<float>(panels * TILE_COLUMNS * problem_.channels), {}, {}};
        for (int i = 0; i < threads; ++i) {
            room.packed0.push_back(pieces.take<float>(TASK_TILES * TILE_ROWS * problem_.channels));
            room.products.push_back(pieces.take<float>(TILE_ROWS * TILE_COLUMNS));
        }
        return room;
    }

    void pack(const Side& side, int64_t cell, int64_t offset, int64_t width, float* out) const {
        const float* from = cell < side.cells ? side.at(cell, offset) : nullptr;
        for (int64_t c = 0; c < problem_.channels; ++c) out[c * width] = from ? from[c * side.map.channel_stride] : 0;
    }

    void make(const CpuOps& ops, const float* a, const float* b, float* products, int64_t cell0, int64_t cell1) {
        const int64_t rows = std::min(rows_, side0_.cells - cell0), columns = std::min(columns_, side1_.cells - cell1);
        ops.tile(a, b, problem_.channels, products, products + HALF, TILE_COLUMNS, nullptr);
        float largest[POOLED_ROWS][8];
        int32_t offsets[POOLED_ROWS][8];
        if (per_cell_ > 1) ops.pool_products(products, largest, offsets);
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t at = (cell0 + i) * side1_.cells + cell1;
            const float* from = per_cell_ > 1 ? largest[i] : products + i * TILE_COLUMNS;
            std::memcpy(volume_ + at, from, (size_t)columns * sizeof(float));
            if (per_cell_ > 1)
                for (int64_t j = 0; j < columns; ++j) offsets_[at + j] = (uint8_t)offsets[i][j];
        }
    }

    tp_correlation problem_;
    Side side0_, side1_;
    int64_t per_cell_, rows_, columns_;
    float* volume_;
    uint8_t* offsets_;
};

}  // namespace
}  // namespace trigpoint

int tp_correlate_cpu(const tp_correlation* problem, float* volume, uint8_t* offsets) {
    using trigpoint::fail;
    if (problem->pooling != 1 && problem->pooling != 2) return fail("pooling is over 1 or 2 cells a side");
    if (problem->channels < 1) return fail("there are no channels");
    for (const tp_map* map : {&problem->desc0, &problem->desc1})
        if (map->rows < 1 || map->columns < 1 || map->rows % problem->pooling || map->columns % problem->pooling)
            return fail("sides must be positive multiples of the pooling");
    try {
        trigpoint::Correlation(*problem, volume, offsets).run();
    } catch (const std::bad_alloc&) {
        return fail("not enough memory for a correlation");
    }
    return 0;
}

int tp_mutual_matching_cpu(const float* volume, int64_t cells0, int64_t cells1, float floor, int32_t threads, float* out) {
    using namespace trigpoint;
    const int count = (int)std::min<int64_t>(std::max(threads, 1), std::max<int64_t>(cells0, 1));
    try {
        const CpuOps& ops = cpu_ops();
        std::vector<float> rows((size_t)cells0), columns((size_t)(cells1 * count), -INFINITY);
        Team team(count);
        team.run(cells0, [&](int64_t row, int thread) {
            rows[(size_t)row] = ops.largest_of_row(volume + row * cells1, cells1, columns.data() + thread * cells1) + floor;
        });
        for (int64_t i = 0; i < cells1; ++i) {
            for (int thread = 1; thread < count; ++thread)
                columns[(size_t)i] = std::max(columns[(size_t)i], columns[(size_t)(thread * cells1 + i)]);
            columns[(size_t)i] += floor;
        }
        team.run(cells0, [&](int64_t row, int) {
            ops.mutual_row(volume + row * cells1, cells1, rows[(size_t)row], columns.data(), out + row * cells1);
        });
    } catch (const std::bad_alloc&) {
        return fail("not enough memory for mutual matching");
    }
    return 0;
}

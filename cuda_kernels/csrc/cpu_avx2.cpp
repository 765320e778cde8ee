#include "cpu_ops.inc"

namespace trigpoint {
extern const CpuOps cpu_ops_avx2;
constexpr CpuOps cpu_ops_avx2 = table("avx2");
}  // namespace trigpoint

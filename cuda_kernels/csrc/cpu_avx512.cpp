#include "cpu_ops.inc"

namespace trigpoint {
extern const CpuOps cpu_ops_avx512;
constexpr CpuOps cpu_ops_avx512 = table("avx512");
}  // namespace trigpoint

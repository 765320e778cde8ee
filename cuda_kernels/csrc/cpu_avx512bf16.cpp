#include "cpu_ops.inc"

namespace trigpoint {
extern const CpuOps cpu_ops_avx512bf16;
constexpr CpuOps cpu_ops_avx512bf16 = table("avx512");
}  // namespace trigpoint

#include "cpu_ops.inc"

namespace trigpoint {
extern const CpuOps cpu_ops_generic;
constexpr CpuOps cpu_ops_generic = table("generic");
}  // namespace trigpoint

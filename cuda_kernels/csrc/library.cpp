// Version, errors and the choice of instructions.
#include "library.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "tile_ops.h"
#include "trigpoint_kernels.h"

namespace trigpoint {
namespace {

thread_local std::string last_error;

struct Choice {
    const char* name;
    bool (*runs)();
    const CpuOps* ops;
};

}  // namespace

extern const CpuOps cpu_ops_generic;
#if defined(__x86_64__)
extern const CpuOps cpu_ops_avx2, cpu_ops_avx512, cpu_ops_avx512bf16;

namespace {

bool runs_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool runs_avx512() {
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
bool runs_avx512bf16() { return runs_avx512() && __builtin_cpu_supports("avx512bf16"); }

}  // namespace
#endif

const CpuOps& cpu_ops() {
    static const CpuOps& chosen = []() -> const CpuOps& {
        const char* asked = std::getenv("TRIGPOINT_ISA");
#if defined(__x86_64__)
        const Choice choices[] = {
            {"avx512bf16", runs_avx512bf16, &cpu_ops_avx512bf16},
            {"avx512", runs_avx512, &cpu_ops_avx512},
            {"avx2", runs_avx2, &cpu_ops_avx2},
        };
        bool allowed = asked == nullptr || *asked == 0;
        for (const Choice& choice : choices) {
            allowed = allowed || std::strcmp(asked, choice.name) == 0;
            if (allowed && choice.runs()) return *choice.ops;
        }
#else
        (void)asked;
#endif
        return cpu_ops_generic;
    }();
    return chosen;
}

int fail(const std::string& message) {
    last_error = message;
    return 1;
}

}  // namespace trigpoint

int tp_abi_version(void) { return TP_ABI_VERSION; }
const char* tp_last_error(void) { return trigpoint::last_error.c_str(); }
const char* tp_cpu_isa(void) { return trigpoint::cpu_ops().name; }
int tp_cpu_has_bfloat16(void) { return trigpoint::cpu_ops().tile_bfloat16 != nullptr; }

#pragma once

#include <string>

namespace trigpoint {

// Keeps the message for tp_last_error and returns what the C function returns.
int fail(const std::string& message);

}  // namespace trigpoint

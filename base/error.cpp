#include "base/error.h"

namespace hearth {

int exit_code(Kind kind) {
  return static_cast<int>(kind);
}

Error::Error(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

void require(bool holds, const char* promise) {
  if (!holds) fail(Kind::internal, "internal error: {} (please report this)", promise);
}

}  // namespace hearth

#include "base/error.h"

namespace hearth {

int exit_code(Kind kind) {
  return static_cast<int>(kind);
}

Error::Error(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

Error Error::on_every_rank(int speaker) const {
  Error copy = *this;
  copy.speaker_ = speaker;
  return copy;
}

void require(bool holds, const char* promise) {
  if (!holds) fail(Kind::internal, "internal error: {} (please report this)", promise);
}

}  // namespace hearth

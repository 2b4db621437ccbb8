// The one exception of hearth, and the exit codes of the program.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace hearth {

/// What went wrong, as the caller of the program needs to know it. The numbers are the exit codes that docs/exit_codes
/// and `hearth --help` print; a supervisor acts on them, so they never change.
enum class Kind {
  usage = 2,        // wrong command line, refused recipe
  data = 3,         // wrong data, model or file
  machine = 4,      // no permission, no such device, folder locked by another job
  numeric = 5,      // NaN or infinity stopped the run
  storage = 6,      // disk full, I/O error: what was there before is untouched
  integrity = 7,    // checkpoints exist and none verifies
  preempted = 10,   // interrupted, checkpoint committed
  validation = 17,  // a result failed its own check
  internal = 70,    // a defect of hearth
};

/// The exit code of a kind.
int exit_code(Kind kind);

/// The only exception type that hearth throws; caught once, in launch/ending. The text names the file, key, tensor or rank and
/// the offending values, and says what to do.
class Error : public std::exception {
 public:
  Error(Kind kind, std::string text);
  const char* what() const noexcept override { return text_.c_str(); }
  Kind kind() const { return kind_; }
  const std::string& text() const { return text_; }

  /// The same error, as every rank of the job throws it at the same place: nobody is left waiting for anybody, so all can
  /// end in good order, and one message, that of rank `speaker`, is enough.
  Error on_every_rank(int speaker) const;
  /// Nothing: as far as is known this rank throws it alone, and whoever waits for it has to be ended.
  std::optional<int> speaker() const { return speaker_; }

 private:
  Kind kind_;
  std::string text_;
  std::optional<int> speaker_;
};

/// Throws Error(kind, formatted text).
template <class... Args>
[[noreturn]] void fail(Kind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// The same for what every rank knows alike and throws at the same place; the first one says it.
template <class... Args>
[[noreturn]] void fail_everywhere(Kind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...)).on_every_rank(0);
}

/// A broken promise between two parts of hearth (never a user's mistake): throws Kind::internal unless `holds`.
void require(bool holds, const char* promise);

}  // namespace hearth

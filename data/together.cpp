#include "data/together.h"

#include <charconv>
#include <filesystem>
#include <optional>

#include "base/file.h"

namespace hearth {

namespace {

/// Runs `work` and returns what went wrong.
std::optional<Error> failure_of(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  } catch (const std::filesystem::filesystem_error& error) {
    return as_error(error);
  } catch (const std::bad_alloc&) {
    return Error(Kind::machine, "out of memory");
  } catch (const std::exception& error) {
    return Error(Kind::internal, fmt::format("internal error: {} (please report this)", error.what()));
  }
}

std::string word_of(const std::optional<Error>& failure) {
  return failure ? fmt::format("{} {}", exit_code(failure->kind()), failure->text()) : "";
}

Error error_of(const std::string& word) {
  const std::size_t space = word.find(' ');
  int code = exit_code(Kind::internal);
  std::from_chars(word.data(), word.data() + space, code);
  return {static_cast<Kind>(code), word.substr(space + 1)};
}

}  // namespace

void all_or_none(const Together& together, const std::function<void()>& work) {
  const std::optional<Error> own = failure_of(work);
  const std::vector<std::string> words = together.gather(word_of(own));
  for (std::size_t part = 0; part < words.size(); ++part) {
    if (!words[part].empty()) throw error_of(words[part]).on_every_rank(static_cast<int>(part));
  }
}

}  // namespace hearth

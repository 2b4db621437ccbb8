#include "data/together.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"

namespace hearth {

namespace {

namespace fs = std::filesystem;

struct Failure {
  Kind kind;
  std::string text;
};

/// Runs `work` and returns what went wrong.
std::optional<Failure> failure_of(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const Error& error) {
    return Failure{error.kind(), error.text()};
  } catch (const fs::filesystem_error& error) {
    return Failure{Kind::storage, error.what()};
  } catch (const std::bad_alloc&) {
    return Failure{Kind::machine, "no memory left while the data was prepared"};
  } catch (const std::exception& error) {
    return Failure{Kind::internal, error.what()};
  }
}

Path failure_file(const Path& folder, int part) {
  return folder / fmt::format("failed-{:05}.json", part);
}

void leave_word(const Path& folder, int part, const Failure& failure) {
  const nlohmann::json word = {{"kind", exit_code(failure.kind)}, {"text", failure.text}};
  failure_of([&] {  // where no word can be left, the other parts say that this one failed, without saying why
    write_file(failure_file(folder, part), word.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  });
}

/// What the first part that failed has left.
std::optional<Failure> first_failure(const Path& folder, int parts) {
  for (int k = 0; k < parts; ++k) {
    if (!fs::exists(failure_file(folder, k))) continue;
    const auto word = nlohmann::json::parse(read_text(failure_file(folder, k)));
    return Failure{static_cast<Kind>(word.at("kind").get<int>()), word.at("text").get<std::string>()};
  }
  return std::nullopt;
}

}  // namespace

void all_or_none(const Together& together, const Path& folder, const std::function<void()>& work) {
  const std::optional<Failure> own = failure_of(work);
  if (own && !folder.empty()) leave_word(folder, together.part, *own);
  if (together.sum(own ? 1 : 0) == 0) return;
  std::optional<Failure> first;
  failure_of([&] {
    if (!folder.empty()) first = first_failure(folder, together.parts);
  });
  together.sum(0);  // nobody removes the folder while another part still reads it
  if (first) throw Error(first->kind, first->text);
  if (own) throw Error(own->kind, own->text);
  fail(Kind::machine, "another part of the job failed while the data was prepared; its own message says why");
}

}  // namespace hearth

// What the tests of data share: a tokenizer one can compute by hand, files, ranks as threads.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/prepare.h"
#include "support/shared.h"

namespace hearth::test {

/// One id a byte: the byte plus 3. 1 begins a document, 2 ends it.
class ByteEncoder final : public Encoder {
 public:
  std::optional<std::int32_t> first = 1;
  std::optional<std::int32_t> last = 2;
  std::string name = "bytes";
  mutable std::atomic<int> calls = 0;

  std::vector<std::int32_t> encode(std::string_view text) const override {
    ++calls;
    std::vector<std::int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c) + 3);
    return ids;
  }
  std::optional<std::int32_t> begin() const override { return first; }
  std::optional<std::int32_t> end() const override { return last; }
  std::string digest() const override { return name; }
};

/// The ids of a text document: 1, bytes, 2.
std::vector<std::int32_t> document_ids(std::string_view text);

/// Writes a file and returns its path as text.
std::string put(const Path& path, std::string_view content);
std::string compressed(std::string_view content);

/// Runs `work` as `parts` parts of one job, each on a thread, part p on host p % hosts; rethrows the error of part 0 when all threw the same
/// text, and fails the test when only some threw or the texts differ.
void as_parts(int parts, const std::function<void(const Together&)>& work, int hosts = 1);

/// The text of the error that `work` throws; fails the test when it throws none or another kind.
std::string error_of(Kind kind, const std::function<void()>& work);

/// Options for one dataset in a folder of its own for stores.
DataOptions options_for(const std::string& path, const Path& folder);

/// A folder, a tokenizer and options, for calling prepare with.
struct Work {
  Folder folder;
  ByteEncoder encoder;
  DataOptions options;

  explicit Work(const std::string& name = "", std::string_view content = "") : options(options_for("", folder.path())) {
    if (!name.empty()) use(add(name, content));
  }
  std::string add(const std::string& name, std::string_view content) const {
    return put(folder.path() / "data" / name, content);
  }
  void use(const std::string& path) { options.datasets = {{path, {}, "", 1, {}, {}}}; }
  Prepared run() const { return prepare(options, &encoder, {}); }
  std::string refused(Kind kind) const {
    return error_of(kind, [&] { run(); });
  }
  std::string side() const { return read_text(folder.path() / "side" / "left_out_rows.jsonl"); }
};

/// Rows of text of 1 to `longest` letters.
std::string texts(int count, std::uint64_t seed, std::uint64_t longest);

/// Every row, for comparing.
struct Rows {
  std::vector<std::vector<std::int32_t>> tokens, targets, starts;
  bool operator==(const Rows&) const = default;
};
Rows rows_of(const Dataset& dataset);

}  // namespace hearth::test

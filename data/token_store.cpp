#include "data/token_store.h"

#include <algorithm>

#include "base/error.h"
#include "data/hdf5.h"
#include "data/store_files.h"
#include "data/stream.h"

namespace hearth {

/// The mapped file of one part: its tokens and labels.
class TokenStore::Part {
 public:
  Part(const Path& path, hdf5::InputFile::Extent tokens, hdf5::InputFile::Extent labels)
      : file_(path), tokens_(view(tokens)), labels_(view(labels)) {}

  std::int64_t first_token = 0;  // of the whole store
  std::int64_t first_label = 0;
  std::span<const std::int32_t> tokens() const { return tokens_; }
  std::span<const std::int32_t> labels() const { return labels_; }

 private:
  std::span<const std::int32_t> view(hdf5::InputFile::Extent extent) const {
    if (extent.count == 0) return {};
    const std::byte* first = file_.bytes().data() + extent.offset;
    return {reinterpret_cast<const std::int32_t*>(first), static_cast<std::size_t>(extent.count)};
  }

  MappedFile file_;
  std::span<const std::int32_t> tokens_, labels_;
};

TokenStore::TokenStore(const Path& folder, Digests digests) : folder_(folder) {
  const store_files::Manifest manifest =
      store_files::verified(folder, {0, digests == Digests::compare ? std::size_t{1} : std::size_t{0}});
  key_ = manifest.key;
  counts_ = store_files::counts_from(read_text(folder / store_files::counts_name), folder / store_files::counts_name);
  read_index();
  check_index();
  map_parts(manifest.parts);
}

TokenStore::~TokenStore() = default;

void TokenStore::read_index() {
  const Path path = folder_ / store_files::index_name;
  const hdf5::InputFile index(path);
  if (index.text("format") != store_files::format)
    store_files::damaged(path, fmt::format("its format is `{}`, not `{}`", index.text("format"), store_files::format));
  if (const auto version = index.number("version"); version != store_files::version) {
    store_files::damaged(path, fmt::format("it has version {}, and its manifest {}", version, store_files::version));
  }
  if (index.text("key") != key_) store_files::damaged(path, "it belongs to another token store than the manifest");
  token_starts_ = index.integers("token_starts");
  label_starts_ = index.integers("label_starts");
  trained_from_ = index.integers("trained_from");
  file_ = index.integers("file");
  line_ = index.integers("line");
}

void TokenStore::check_index() const {
  const auto check = [&](bool holds, const char* what, std::size_t document) {
    if (!holds) store_files::damaged(folder_ / store_files::index_name, fmt::format("document {}: {}", document, what));
  };
  const std::size_t documents = trained_from_.size();
  check(token_starts_.size() == documents + 1 && label_starts_.size() == documents + 1 && file_.size() == documents &&
            line_.size() == documents,
        "the lists of documents have different lengths", documents);
  check(token_starts_.front() == 0 && label_starts_.front() == 0, "the first document does not begin at 0", 0);
  for (std::size_t d = 0; d < documents; ++d) {
    check(token_starts_[d + 1] > token_starts_[d], "its tokens end before they begin", d);
    const std::int64_t tokens = token_starts_[d + 1] - token_starts_[d];
    const bool in_order = label_starts_[d + 1] >= label_starts_[d];
    const std::int64_t labels = in_order ? label_starts_[d + 1] - label_starts_[d] : -1;
    check(labels == 0 || labels == tokens, "it has neither no labels nor one a token", d);
    check(trained_from_[d] >= 0 && trained_from_[d] <= tokens, "it is trained from a token that it does not have", d);
    check(file_[d] >= 0 && line_[d] >= 1, "it comes from no file or line", d);
  }
  std::int64_t counted = 0;
  std::int64_t counted_tokens = 0;
  for (const DatasetCounts& one : counts_) {
    counted += one.documents;
    counted_tokens += one.tokens;
  }
  check(counted == static_cast<std::int64_t>(documents) && counted_tokens == token_starts_.back(),
        "the counts say something else", documents);
}

void TokenStore::map_parts(int parts) {
  std::int64_t tokens = 0;
  std::int64_t labels = 0;
  for (int k = 0; k < parts; ++k) {
    const Path path = folder_ / store_files::part_name(k);
    const hdf5::InputFile file(path);
    auto part = std::make_unique<Part>(path, file.tokens("tokens"), file.tokens("labels"));
    part->first_token = tokens;
    part->first_label = labels;
    tokens += static_cast<std::int64_t>(part->tokens().size());
    labels += static_cast<std::int64_t>(part->labels().size());
    const auto end = std::lower_bound(token_starts_.begin(), token_starts_.end(), tokens);
    const auto behind = end - token_starts_.begin();
    if (end == token_starts_.end() || *end != tokens || label_starts_[static_cast<std::size_t>(behind)] != labels) {
      store_files::damaged(path, "it does not end where a document of the index ends");
    }
    part_ends_.push_back(behind);
    parts_.push_back(std::move(part));
  }
  if (part_ends_.back() != documents())
    store_files::damaged(folder_ / store_files::index_name, "it has more documents than the parts hold");
}

std::size_t TokenStore::at(std::int64_t document) const {
  require(document >= 0 && document < documents(), "a document is one of the store's");
  return static_cast<std::size_t>(document);
}

const TokenStore::Part& TokenStore::part_of(std::int64_t document) const {
  const auto part = std::upper_bound(part_ends_.begin(), part_ends_.end(), document) - part_ends_.begin();
  return *parts_[static_cast<std::size_t>(part)];
}

std::int64_t TokenStore::length(std::int64_t document) const {
  const std::size_t d = at(document);
  return token_starts_[d + 1] - token_starts_[d];
}

std::span<const std::int32_t> TokenStore::tokens(std::int64_t document) const {
  const std::size_t d = at(document);
  const Part& part = part_of(document);
  return part.tokens().subspan(static_cast<std::size_t>(token_starts_[d] - part.first_token),
                               static_cast<std::size_t>(length(document)));
}

std::span<const std::int32_t> TokenStore::labels(std::int64_t document) const {
  const std::size_t d = at(document);
  const Part& part = part_of(document);
  return part.labels().subspan(static_cast<std::size_t>(label_starts_[d] - part.first_label),
                               static_cast<std::size_t>(label_starts_[d + 1] - label_starts_[d]));
}

std::int64_t TokenStore::bad_rows() const {
  std::int64_t total = 0;
  for (const DatasetCounts& one : counts_) {
    for (const auto& [reason, count] : one.bad) total += count;
  }
  return total;
}

std::vector<BadRow> TokenStore::first_bad_rows(std::size_t most) const {
  std::vector<BadRow> rows;
  const Path path = folder_ / store_files::bad_rows_name;
  LineReader lines(path, Container::lines);
  while (rows.size() < most && lines.next()) rows.push_back(store_files::bad_row_from(lines.line(), path));
  return rows;
}

}  // namespace hearth

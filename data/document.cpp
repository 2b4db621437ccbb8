#include "data/document.h"

#include <algorithm>

#include "base/error.h"

namespace hearth {

namespace {

void append(std::vector<std::int32_t>& tokens, const std::vector<std::int32_t>& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

std::optional<Complaint> from_text(const RawRow& row, const Encoder& encoder, Document& document) {
  if (row.text.empty()) return Complaint{"empty row", "the text is empty"};
  if (const auto begin = encoder.begin()) document.tokens.push_back(*begin);
  append(document.tokens, encoder.encode(row.text));
  if (const auto end = encoder.end()) document.tokens.push_back(*end);
  if (document.tokens.empty()) return Complaint{"empty row", "the text has no tokens"};
  return std::nullopt;
}

std::optional<Complaint> from_pair(const RawRow& row, const Encoder& encoder, bool train_prompt, Document& document) {
  if (row.completion.empty()) return Complaint{"empty row", "the completion is empty"};
  const auto end = encoder.end();
  if (!end)
    fail(Kind::data,
         "prompt/completion rows end with a trained end token, and the tokenizer names none; give the model folder an "
         "eos_token");
  if (const auto begin = encoder.begin()) document.tokens.push_back(*begin);
  append(document.tokens, encoder.encode(row.prompt));
  if (!train_prompt) document.trained_from = static_cast<std::int64_t>(document.tokens.size());
  append(document.tokens, encoder.encode(row.completion));
  document.tokens.push_back(*end);
  return std::nullopt;
}

/// A tokenised row of sft has no template to bring these.
std::optional<Complaint> ends_missing(const RawRow& row, const Encoder& encoder) {
  const auto begin = encoder.begin();
  if (begin && row.ids.front() != *begin) {
    return Complaint{"begin token missing",
                     fmt::format("the row begins with {}, not with the begin token {}", row.ids.front(), *begin)};
  }
  const auto end = encoder.end();
  if (end && row.ids.back() != *end) {
    return Complaint{"end token missing",
                     fmt::format("the row ends with {}, not with the end token {}", row.ids.back(), *end)};
  }
  if (end && !row.labels.empty() && row.labels.back() != *end) {
    return Complaint{"end token untrained",
                     fmt::format("the label of the end token {} is {}", *end, row.labels.back())};
  }
  return std::nullopt;
}

std::optional<Complaint> from_ids(const RawRow& row, const Encoder* encoder, DataStage stage, Document& document) {
  if (row.ids.empty()) return Complaint{"empty row", "input_ids is empty"};
  if (stage == DataStage::sft && encoder != nullptr) {
    if (auto complaint = ends_missing(row, *encoder)) return complaint;
  }
  document.tokens = row.ids;
  document.labels = row.labels;
  std::replace(document.labels.begin(), document.labels.end(), -100, -1);
  if (document.labels == document.tokens) document.labels.clear();
  return std::nullopt;
}

}  // namespace

std::optional<Complaint> make_document(const RawRow& row, const Encoder* encoder, const DocumentRules& rules,
                                       Document& document) {
  document.tokens.clear();
  document.labels.clear();
  document.trained_from = 0;
  if (row.format == Format::tokens) return from_ids(row, encoder, rules.stage, document);
  require(encoder != nullptr, "text is made a document with an encoder");
  return row.format == Format::text ? from_text(row, *encoder, document)
                                    : from_pair(row, *encoder, rules.train_prompt, document);
}

std::int64_t trained_tokens(const Document& document) {
  const auto size = static_cast<std::int64_t>(document.tokens.size());
  if (document.labels.empty()) return size - std::min(size, std::max<std::int64_t>(document.trained_from, 1));
  return std::count_if(document.labels.begin() + 1, document.labels.end(),
                       [](std::int32_t label) { return label >= 0; });
}

}  // namespace hearth

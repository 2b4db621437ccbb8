// Tokenizers against rows of known answers.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace hearth::test {

using Ids = std::vector<std::int32_t>;

/// Every line of a file of JSON lines.
inline std::vector<nlohmann::json> rows_of(const Path& path) {
  std::vector<nlohmann::json> rows;
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

inline std::string streamed(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string text;
  for (const std::int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

inline void expect_decoded(const Tokenizer& tokenizer, const Ids& ids, bool skip_special, const std::string& expected) {
  EXPECT_EQ(tokenizer.decode(ids, skip_special), expected);
  EXPECT_EQ(streamed(tokenizer, ids, skip_special), expected);
}

/// A row {text, ids, ids_with_special, decoded, decoded_skip_special}; what was decoded are `decoded_ids`.
inline void expect_row(const Tokenizer& tokenizer, const nlohmann::json& row, const char* decoded_ids) {
  const std::string text = row["text"];
  SCOPED_TRACE(text);
  EXPECT_EQ(tokenizer.encode(text, Special::none), row["ids"].get<Ids>());
  EXPECT_EQ(tokenizer.encode(text, Special::added), row["ids_with_special"].get<Ids>());
  const Ids ids = row[decoded_ids].get<Ids>();
  expect_decoded(tokenizer, ids, false, row["decoded"]);
  expect_decoded(tokenizer, ids, true, row["decoded_skip_special"]);
}

}  // namespace hearth::test

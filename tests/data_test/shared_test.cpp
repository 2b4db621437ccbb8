// Whole files through a real tokenizer, the store and packing, against the ids of Hugging Face tokenizers.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "data/tokenizer_encoder.h"
#include "data_test/support.h"

namespace hearth::test {
namespace {

TEST(SharedCorpora, RowsLaidEndToEndAreTheKnownIds) {
  const TokenizerEncoder encoder(Tokenizer::load(shared() / "data" / "models" / "stories260K"));
  std::istringstream lines(read_text(shared() / "golden" / "tokenizers" / "stories260K.jsonl"));
  int files = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto known = nlohmann::json::parse(line);
    if (!known.contains("file")) continue;
    ++files;
    const Folder folder;
    DataOptions options = options_for((shared() / "data" / known["file"].get<std::string>()).string(), folder.path());
    options.packing = Packing::wrapped;
    options.cutoff_len = 512;
    options.vocabulary = 512;
    const Prepared prepared = prepare(options, &encoder, {});
    std::vector<std::int32_t> ids;
    for (std::int64_t r = 0; r < prepared.train.rows(); ++r) {
      const Row row = prepared.train.row(r);
      ids.insert(ids.end(), row.tokens.begin(), row.tokens.end());
    }
    ASSERT_EQ(ids.front(), encoder.begin());
    ASSERT_EQ(ids.back(), encoder.end());
    ids.erase(ids.begin());
    ids.pop_back();
    EXPECT_EQ(static_cast<std::int64_t>(ids.size()), known["count"]) << known["file"];
    const auto first = known["first"].get<std::vector<std::int32_t>>();
    const auto last = known["last"].get<std::vector<std::int32_t>>();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), ids.begin()));
    EXPECT_TRUE(std::equal(last.rbegin(), last.rend(), ids.rbegin()));
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace hearth::test

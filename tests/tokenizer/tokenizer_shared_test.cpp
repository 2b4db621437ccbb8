// Every row, every whole file and every decoded text of the shared known answers, and llama.cpp's vectors.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/sha384.h"
#include "data/tokenizer/bpe_trainer.h"
#include "data/tokenizer/tokenizer.h"
#include "support/shared.h"
#include "tokenizer/known_rows.h"

namespace hearth {
namespace {

using Json = nlohmann::json;
using test::Ids;

Tokenizer tokenizer_named(const std::string& name) {
  const Path data = test::shared() / "data";
  return Tokenizer::load((name == "stories260K" ? data / "models" : data / "tokenizers") / name / "tokenizer.json");
}

std::string sha256_of_ids(const Ids& ids) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  EVP_Digest(ids.data(), ids.size() * 4, digest.data(), &length, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

class KnownAnswers : public testing::TestWithParam<std::string> {};

TEST_P(KnownAnswers, RowsAndFiles) {
  const Tokenizer tokenizer = tokenizer_named(GetParam());
  const auto rows = test::rows_of(test::shared() / "golden/tokenizers" / (GetParam() + ".jsonl"));
  std::size_t texts = 0;
  std::size_t files = 0;
  for (const Json& row : rows) {
    if (row.contains("text")) {
      ++texts;
      test::expect_row(tokenizer, row, "ids");
    } else if (row.contains("file")) {
      SCOPED_TRACE(row["file"].get<std::string>());
      ++files;
      const std::string text = read_text(test::shared() / "data" / row["file"].get<std::string>());
      const Ids ids = tokenizer.encode(text, Special::none);
      EXPECT_EQ(ids.size(), row["count"].get<std::size_t>());
      EXPECT_EQ(sha256_of_ids(ids), row["sha256_of_little_endian_u32_ids"].get<std::string>());
      ASSERT_GE(ids.size(), 8U);
      EXPECT_EQ(Ids(ids.begin(), ids.begin() + 8), row["first"].get<Ids>());
      EXPECT_EQ(Ids(ids.end() - 8, ids.end()), row["last"].get<Ids>());
      EXPECT_EQ(test::streamed(tokenizer, ids, false), tokenizer.decode(ids, false));
      // Llama 2's and stories260K's decoders take a space off that a literal <unk> or the text itself had there.
      const bool holds_unk = text.find("<unk>") != std::string::npos;
      if (!holds_unk) {
        EXPECT_EQ(tokenizer.decode(ids, false), text);
      }
    }
  }
  EXPECT_GT(texts, 70U);
  EXPECT_GT(files, 0U);
}

INSTANTIATE_TEST_SUITE_P(All, KnownAnswers,
                         testing::Values("gpt2", "llama2", "llama3.1", "qwen2.5", "deepseek_r1", "stories260K"),
                         [](const auto& name) {
                           std::string text = name.param;
                           std::erase(text, '.');
                           return text;
                         });

struct Vectors {
  std::string file;
  std::string tokenizer;
};

class LlamaCppVectors : public testing::TestWithParam<Vectors> {};

TEST_P(LlamaCppVectors, Ids) {
  const Tokenizer tokenizer = tokenizer_named(GetParam().tokenizer);
  const Path folder = test::shared() / "data/tokenizers/vectors";
  const std::string input = read_text(folder / ("ggml-vocab-" + GetParam().file + ".gguf.inp"));
  std::istringstream output(read_text(folder / ("ggml-vocab-" + GetParam().file + ".gguf.out")));
  const std::string border = "\n__ggml_vocab_test__\n";
  std::size_t cases = 0;
  for (std::size_t at = 0; at < input.size(); ++cases) {
    const std::size_t end = std::min(input.find(border, at), input.size());
    const std::string text = input.substr(at, end - at);
    SCOPED_TRACE(text);
    std::string line;
    ASSERT_TRUE(std::getline(output, line));
    std::istringstream numbers(line);
    Ids expected;
    for (std::int32_t id = 0; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer.encode(text, Special::none), expected);
    at = end + border.size();
  }
  EXPECT_GE(cases, 45U);
}

INSTANTIATE_TEST_SUITE_P(All, LlamaCppVectors,
                         testing::Values(Vectors{"deepseek-r1-qwen", "qwen2.5"}, Vectors{"gpt-2", "gpt2"},
                                         Vectors{"llama-bpe", "llama3.1"}, Vectors{"llama-spm", "llama2"},
                                         Vectors{"qwen2", "qwen2.5"}),
                         [](const auto& vectors) {
                           std::string text = vectors.param.file;
                           std::erase(text, '-');
                           return text;
                         });

struct Training {
  std::string corpus;
  std::string merges;  // SHA-384 of one line "left right" a merge
};

class Trained : public testing::TestWithParam<Training> {};

// From tokenizers 0.23.3: BpeTrainer(vocab_size=4096, special_tokens=["<|endoftext|>"], initial_alphabet=
// ByteLevel.alphabet()), ByteLevel(add_prefix_space=False), train_from_iterator of the whole text as one document.
TEST_P(Trained, MergesEqualHuggingFaces) {
  const std::string text = read_text(test::shared() / "data/corpora" / GetParam().corpus);
  BpeTrainer trainer;
  trainer.add(text);
  const std::string json = trainer.train(4096, {"<|endoftext|>"});
  std::string lines;
  const Json file = Json::parse(json);
  for (const Json& merge : file["model"]["merges"]) {
    lines += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  EXPECT_EQ(sha384(lines), GetParam().merges);
  const Tokenizer tokenizer = Tokenizer::parse(json, "trained");
  EXPECT_EQ(tokenizer.vocabulary_size(), 4096);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, Special::none), false), text);
}

INSTANTIATE_TEST_SUITE_P(All, Trained,
                         testing::Values(Training{"tinyshakespeare.txt",
                                                  "4e843858221c252c8509076c5fb4887b9ea2f6d0f00a8940eeb219a74e29c832"
                                                  "4a31473c1b27beaddf059bb2bcefbf0b"},
                                         Training{"honglou.txt",
                                                  "c27be78bbde5ccd0f92aece823c40e6994c344d942dd1d527f209e2b72491487"
                                                  "ffe10c43717712bca00d517b17c735c6"}),
                         [](const auto& training) {
                           return training.param.corpus.substr(0, training.param.corpus.find('.'));
                         });

}  // namespace
}  // namespace hearth

// The hand-written scanners against the expressions that they stand for, and expressions against what Oniguruma
// matches.
#include "data/tokenizer/scanners.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "base/utf8.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/unicode.h"

namespace hearth::tokenization {
namespace {

class Collect final : public PieceSink {
 public:
  void take(std::string_view piece, std::size_t beginning) override {
    pieces.emplace_back(piece);
    EXPECT_EQ(beginning, pieces.size() == 1 ? 1 : 0);
  }
  std::vector<std::string> pieces;
};

std::vector<std::string> cut(const PreTokenizerStep& step, std::string_view text) {
  StepRoom room;
  Collect collect;
  step.cut(text, 1, room, collect);
  return collect.pieces;
}

const std::vector<std::string> patterns = {std::string(gpt2_pattern()),
                                           "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
                                           "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!"
                                           "\\S)|\\s+",
                                           "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                                           "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|"
                                           "\\s+"};

/// All short texts over characters that the expressions tell apart, then long random ones over more.
TEST(Scanners, CutAsTheExpressionsDo) {
  const std::vector<std::string> units = {" ", "\n", "\t", "'", "s", "L", "r", "e", "1", ".", "é"};
  const std::vector<std::string> more = {
      " ",      " ",      "\r",     "\n",     "\t",     "'",      "s",      "t",    "r", "e", "v",
      "m",      "l",      "d",      "S",      "LL",     "RE",     "ſ",      "'ſ",   "K", "a", "1",
      "²",      "Ⅷ",      "٣",      ".",      ",",      "_",      "中",     "文",   "é", "́",  "😀",
      "\u00A0", "\u3000", "\u2028", "\u0085", "\u180E", "\u200B", "\u200D", "\x01", "𝟘", "𠀀"};
  std::mt19937 random(1);
  for (const std::string& pattern : patterns) {
    const auto scanner = scanner_for(pattern);
    ASSERT_NE(scanner, nullptr);
    const auto expression = split_step(pattern, Behavior::isolated, false, "test", Scanning::by_regex);
    std::size_t texts = 1;
    for (int i = 0; i < 4; ++i) texts *= units.size();
    for (std::size_t number = 0; number < texts; ++number) {
      std::string text;
      for (std::size_t rest = number, i = 0; i < 4; ++i, rest /= units.size()) text += units[rest % units.size()];
      ASSERT_EQ(cut(*scanner, text), cut(*expression, text)) << text;
    }
    for (int i = 0; i < 3000; ++i) {
      std::string text;
      for (std::size_t length = random() % 60; length > 0; --length) text += more[random() % more.size()];
      ASSERT_EQ(cut(*scanner, text), cut(*expression, text)) << text;
    }
  }
}

TEST(Scanners, CutEveryCharacterAsTheExpressionsDo) {
  std::string text;
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    text += c % 3 == 0 ? "a" : " ";
    append_utf8(text, c);
  }
  for (const std::string& pattern : patterns) {
    EXPECT_EQ(cut(*scanner_for(pattern), text),
              cut(*split_step(pattern, Behavior::isolated, false, "test", Scanning::by_regex), text));
  }
}

TEST(Scanners, KnowNoOtherExpression) {
  EXPECT_EQ(scanner_for("\\p{L}+"), nullptr);
}

std::u32string matched(const std::string& pattern, std::uint32_t end) {
  const Regex regex(pattern, "test");
  Matcher matcher(regex);
  std::u32string found;
  for (std::uint32_t c = 0; c < end; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    if (matcher.find(text, 0) && matcher.end() == text.size()) found += static_cast<char32_t>(c);
  }
  return found;
}

// What Oniguruma 6.9 (Ruby syntax, UTF-8) matches, asked of Hugging Face tokenizers 0.23.3, where PCRE2 by itself would
// match something else.
TEST(Regex, UnderstandsOnigurumasClasses) {
  std::u32string spaces;
  for (std::uint32_t c = 0; c < 0x4000; ++c) {
    if (is_space(c)) spaces += static_cast<char32_t>(c);
  }
  EXPECT_EQ(spaces.size(), 25U);
  EXPECT_EQ(matched("\\s", 0x4000), spaces);  // no U+180E
  EXPECT_EQ(matched("[\\s]", 0x4000), spaces);
  EXPECT_EQ(matched("\\h", 0x4000), U"0123456789ABCDEFabcdef");
  EXPECT_EQ(matched("\\v", 0x4000), U"\v");
  EXPECT_EQ(matched("(?i:s)", 0x4000), U"Ssſ");
  EXPECT_EQ(matched("[^\\w]", 0xC0).find(U'²') != std::u32string::npos, true);
  EXPECT_EQ(matched("\\w", 0xC0).find(U'²') != std::u32string::npos, true);
  EXPECT_EQ(matched("\\p{Han}", 0x3100).find(U'\u3001'), std::u32string::npos);  // a script, not its extensions
  EXPECT_EQ(matched("[[:punct:]]", 0x80), U"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
  EXPECT_EQ(matched(".", 0x20).find(U'\n'), std::u32string::npos);
}

TEST(Regex, WalksOverEmptyMatchesAsOnigurumaDoes) {
  const auto step = [](const char* pattern) { return split_step(pattern, Behavior::isolated, false, "test"); };
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(cut(*step("x*"), "axxb"), (Pieces{"a", "xx", "b"}));
  EXPECT_EQ(cut(*step("(?=b)"), "abab"), (Pieces{"a", "ba", "b"}));
  EXPECT_EQ(cut(*step("^"), "a\nb"), (Pieces{"a\n", "b"}));
  EXPECT_EQ(cut(*step("é*"), "éé中é"), (Pieces{"éé", "中", "é"}));
}

TEST(Regex, EveryBehavior) {
  using Pieces = std::vector<std::string>;
  const auto pieces = [](Behavior behavior, bool invert) {
    return cut(*split_step("-", behavior, invert, "test"), "the-final--countdown");
  };
  EXPECT_EQ(pieces(Behavior::removed, false), (Pieces{"the", "final", "countdown"}));
  EXPECT_EQ(pieces(Behavior::isolated, false), (Pieces{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(pieces(Behavior::merged_with_previous, false), (Pieces{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(pieces(Behavior::merged_with_next, false), (Pieces{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(pieces(Behavior::contiguous, false), (Pieces{"the", "-", "final", "--", "countdown"}));
}

// An expression that needs exponentially many steps gives up with an error; nothing overflows.
TEST(Regex, HostileTextsEndInAnError) {
  const Regex regex("(?:a|aa)+$", "test");
  Matcher matcher(regex);
  EXPECT_THROW(matcher.find(std::string(200, 'a') + "b", 0), Error);
  const Regex nested("(?:(?:x+)*y)+", "test");
  Matcher deep(nested);
  EXPECT_NO_THROW(try { deep.find(std::string(1000000, 'x'), 0); } catch (const Error&){});
}

TEST(Scanners, LongRunsTakeLinearTime) {
  for (const std::string& pattern : patterns) {
    const auto scanner = scanner_for(pattern);
    const auto expression = split_step(pattern, Behavior::isolated, false, "test", Scanning::by_regex);
    for (const char* unit : {"a", " ", "\n", "1", "'", " \n ", "中"}) {
      std::string text;
      while (text.size() < 500000) text += unit;
      text += "b";
      EXPECT_EQ(cut(*scanner, text), cut(*expression, text)) << unit;
    }
  }
}

}  // namespace
}  // namespace hearth::tokenization

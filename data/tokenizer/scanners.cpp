#include "data/tokenizer/scanners.h"

#include "base/utf8.h"
#include "data/tokenizer/unicode.h"

namespace hearth::tokenization {
namespace {

using Class = CharacterClasses::Class;

/// Reads one piece of text by character classes.
class Reader {
 public:
  Reader(const CharacterClasses& classes, std::string_view text) : classes_(classes), text_(text) {}

  std::size_t size() const { return text_.size(); }
  char byte(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }
  Class at(std::size_t at, std::size_t& length) const { return classes_.at(text_.data() + at, length); }
  bool is(std::size_t at, Class wanted) const {
    std::size_t length = 0;
    return at < text_.size() && this->at(at, length) == wanted;
  }
  /// The end of the run of characters of one class, at most `most` of them, that begins at `at`.
  std::size_t run(std::size_t at, Class wanted, std::size_t most = static_cast<std::size_t>(-1)) const {
    std::size_t length = 0;
    for (; most > 0 && at < text_.size() && this->at(at, length) == wanted; --most) at += length;
    return at;
  }
  std::size_t newlines(std::size_t at) const {
    while (byte(at) == '\r' || byte(at) == '\n') ++at;
    return at;
  }
  /// \s+(?!\S)|\s+ : a run of spaces, less its last one when a word follows.
  std::size_t spaces(std::size_t at) const {
    const std::size_t end = run(at, Class::space);
    if (end == text_.size()) return end;
    const std::size_t last = at + last_character(text_.substr(at, end - at));
    return last > at ? last : end;
  }

 private:
  const CharacterClasses& classes_;
  std::string_view text_;
};

/// The bytes of 's 't 're 've 'm 'll 'd behind an apostrophe at `at`, or 0.
std::size_t contraction(const Reader& text, std::size_t at) {
  const char a = text.byte(at + 1);
  const char b = text.byte(at + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

/// The same in any case; the long s (U+017F) is an s there.
std::size_t contraction_of_any_case(const Reader& text, std::size_t at) {
  const char a = lower(text.byte(at + 1));
  const char b = lower(text.byte(at + 2));
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (a == '\xC5' && b == '\xBF') return 3;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

class Gpt2Rule {
 public:
  static std::size_t end_of_word(const Reader& text, std::size_t at) {
    if (text.byte(at) == '\'') {
      if (const std::size_t bytes = contraction(text, at)) return at + bytes;
    }
    std::size_t length = 0;
    Class kind = text.at(at, length);
    std::size_t begin = at;
    if (text.byte(at) == ' ' && at + 1 < text.size()) {
      const Class behind = text.at(at + 1, length);
      if (behind != Class::space) {
        kind = behind;
        begin = at + 1;
      }
    }
    return kind == Class::space ? text.spaces(at) : text.run(begin, kind);
  }
};

/// Llama 3 and Qwen: they differ in how many digits make a word.
template <std::size_t digits>
class LlamaRule {
 public:
  static std::size_t end_of_word(const Reader& text, std::size_t at) {
    const char c = text.byte(at);
    if (c == '\'') {
      if (const std::size_t bytes = contraction_of_any_case(text, at)) return at + bytes;
    }
    std::size_t length = 0;
    const Class kind = text.at(at, length);
    if (kind == Class::letter) return text.run(at + length, Class::letter);
    if (kind == Class::number) return text.run(at, Class::number, digits);
    if (c != '\r' && c != '\n' && text.is(at + length, Class::letter)) return text.run(at + length, Class::letter);
    if (kind == Class::other) return text.newlines(text.run(at, Class::other));
    if (c == ' ' && text.is(at + 1, Class::other)) return text.newlines(text.run(at + 1, Class::other));
    return end_of_spaces(text, at);
  }

 private:
  /// \s*[\r\n]+|\s+(?!\S)|\s+ : up to the last line end of the run, if it has one.
  static std::size_t end_of_spaces(const Reader& text, std::size_t at) {
    const std::size_t end = text.run(at, Class::space);
    for (std::size_t i = end; i > at; --i) {
      if (text.byte(i - 1) == '\r' || text.byte(i - 1) == '\n') return i;
    }
    return text.spaces(at);
  }
};

template <class Rule>
class Scanner final : public PreTokenizerStep {
 public:
  void cut(std::string_view piece, std::size_t beginning, StepRoom& /*room*/, PieceSink& next) const override {
    const Reader text(classes_, piece);
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t end = Rule::end_of_word(text, at);
      next.take(piece.substr(at, end - at), beginning_of_part(beginning, at, end));
      at = end;
    }
  }

 private:
  CharacterClasses classes_;
};

}  // namespace

std::unique_ptr<PreTokenizerStep> scanner_for(std::string_view pattern) {
  constexpr std::string_view llama3 =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
      "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
      "\\s+(?!\\S)|\\s+";
  constexpr std::string_view qwen =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
      "\\s+(?!\\S)|\\s+";
  if (pattern == gpt2_pattern()) return std::make_unique<Scanner<Gpt2Rule>>();
  if (pattern == llama3) return std::make_unique<Scanner<LlamaRule<3>>>();
  if (pattern == qwen) return std::make_unique<Scanner<LlamaRule<1>>>();
  return nullptr;
}

}  // namespace hearth::tokenization

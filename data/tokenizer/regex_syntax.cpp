#include <array>
#include <cctype>
#include <utility>

#include "base/error.h"
#include "data/tokenizer/regex.h"

namespace hearth::tokenization {
namespace {

// What \w is inside a class, and outside: there Oniguruma counts six more characters of Latin-1 (superscripts,
// fractions).
constexpr std::string_view word_in_class = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr std::string_view word_items = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";

/// Walks an expression once, writing it anew.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& place) : in_(pattern), place_(place) {}

  std::string translate() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        character_class();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        repeat();
      } else {
        out_ += in_[at_++];
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(Kind::data, "{}: the expression {} has {} at byte {}, which hearth does not understand", place_, in_, what,
         at_);
  }
  char peek(std::size_t ahead) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  bool starts(std::string_view text) const { return in_.substr(at_).substr(0, text.size()) == text; }

  void character_class() {
    out_ += in_[at_++];
    if (peek(0) == '^') out_ += in_[at_++];
    if (peek(0) == ']') refuse("a class that begins with ]");
    while (true) {
      if (at_ >= in_.size()) refuse("a class without end");
      const char c = in_[at_];
      if (c == ']') break;
      if (c == '\\') {
        escape(true);
      } else if (c == '[') {
        posix_class();
      } else if (starts("&&")) {
        refuse("an intersection (&&)");
      } else {
        out_ += in_[at_++];
      }
    }
    out_ += in_[at_++];
  }

  void posix_class() {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 6> known = {{{"[:alpha:]", "\\p{Alphabetic}"},
                                                                                     {"[:space:]", "\\p{White_Space}"},
                                                                                     {"[:digit:]", "\\p{Nd}"},
                                                                                     {"[:upper:]", "\\p{Uppercase}"},
                                                                                     {"[:lower:]", "\\p{Lowercase}"},
                                                                                     {"[:punct:]", "\\p{P}\\p{S}"}}};
    for (const auto& [name, meaning] : known) {
      if (!starts(name)) continue;
      out_ += meaning;
      at_ += name.size();
      return;
    }
    refuse("a class inside a class");
  }

  void group() {
    if (starts("(*")) refuse("(*");
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
      if (!starts(known)) continue;
      out_ += known;
      at_ += known.size();
      return;
    }
    if (starts("(?i)") && at_ == 0) {
      out_ += "(?i)";
      at_ += 4;
      return;
    }
    if (starts("(?")) refuse("an unusual group");
    out_ += in_[at_++];
  }

  void repeat() {
    if (peek(1) == ',') refuse("{,n}");
    const std::size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) refuse("{ without }");
    const std::string_view inside = in_.substr(at_ + 1, close - at_ - 1);
    if (inside.empty() || inside.find_first_not_of("0123456789,") != std::string_view::npos) refuse("a bare {");
    if (close + 1 < in_.size() && in_[close + 1] == '+') refuse("{n,m}+");  // possessive in PCRE2, repeated in Ruby
    out_ += in_.substr(at_, close + 1 - at_);
    at_ = close + 1;
  }

  void escape(bool in_class) {
    const char c = peek(1);
    const auto take = [this](std::size_t bytes, std::string_view meaning) {
      at_ += bytes;
      out_ += meaning;
    };
    switch (c) {
      case 's':
        return take(2, "\\p{White_Space}");
      case 'S':
        return take(2, "\\P{White_Space}");
      case 'd':
        return take(2, "\\p{Nd}");
      case 'D':
        return take(2, "\\P{Nd}");
      case 'w':
        return take(2, in_class ? std::string(word_in_class) : fmt::format("[{}]", word_items));
      case 'v':
        return take(2, "\\x0B");
      case 'h':
        return take(2, in_class ? "0-9A-Fa-f" : "[0-9A-Fa-f]");
      case 'p':
      case 'P':
        return property();
      case 'x':
      case 'u':
        return code_point();
      default:
        break;
    }
    if (!in_class) {
      if (c == 'W') return take(2, fmt::format("[^{}]", word_items));
      if (c == 'H') return take(2, "[^0-9A-Fa-f]");
      if (c == 'b') return take(2, fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", word_items));
      if (c == 'B') return take(2, fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", word_items));
      if (c == 'A' || c == 'z' || c == 'Z' || (c >= '1' && c <= '9')) return copy(2);
    }
    if (c == 'n' || c == 'r' || c == 't' || c == 'f' || c == 'a' || c == 'e') return copy(2);
    if (c == '\0' || std::isalnum(static_cast<unsigned char>(c)) != 0) refuse(fmt::format("\\{}", c));
    if (static_cast<unsigned char>(c) >= 0x80) {  // an escaped character beyond ASCII is the character
      ++at_;
      return;
    }
    copy(2);
  }

  void copy(std::size_t bytes) {
    out_ += in_.substr(at_, bytes);
    at_ += bytes;
  }

  /// \xHH, \x{H...}, \uHHHH
  void code_point() {
    std::size_t begin = at_ + 2;
    std::size_t end = begin;
    std::size_t most = in_[at_ + 1] == 'u' ? 4 : 2;
    const bool braces = in_[at_ + 1] == 'x' && begin < in_.size() && in_[begin] == '{';
    if (braces) {
      end = ++begin;
      most = 6;
    }
    while (end < in_.size() && end - begin < most && std::isxdigit(static_cast<unsigned char>(in_[end])) != 0) ++end;
    const std::string digits(in_.substr(begin, end - begin));
    if (digits.empty() || (in_[at_ + 1] == 'u' && digits.size() != 4)) refuse("a code point without digits");
    const bool closed = !braces || (end < in_.size() && in_[end] == '}');
    if (!closed) refuse("a code point without }");
    if (!braces && most == 2 && std::stoul(digits, nullptr, 16) > 0x7F) refuse("a single byte beyond ASCII");
    out_ += fmt::format("\\x{{{}}}", digits);
    at_ = end + (braces ? 1 : 0);
  }

  /// \p{Name}: general categories as they are, the names of POSIX classes by their Unicode meaning, all else as a
  /// script (PCRE2 would take a bare script name for its extensions).
  void property() {
    const std::size_t close = in_.find('}', at_);
    if (peek(2) != '{' || close == std::string_view::npos) refuse("a property without braces");
    std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
    const bool not_it = !name.empty() && name.front() == '^';
    if (not_it) name.remove_prefix(1);
    out_ += fmt::format("\\{}{{{}{}}}", in_[at_ + 1], not_it ? "^" : "", meaning(name));
    at_ = close + 1;
  }

  std::string meaning(std::string_view name) const {
    constexpr std::string_view categories =
        " C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs Any "
        "Alphabetic White_Space Uppercase Lowercase Ideographic Emoji Extended_Pictographic ";
    constexpr std::array<std::pair<std::string_view, std::string_view>, 12> names = {{{"Letter", "L"},
                                                                                      {"Mark", "M"},
                                                                                      {"Number", "N"},
                                                                                      {"Punctuation", "P"},
                                                                                      {"Symbol", "S"},
                                                                                      {"Separator", "Z"},
                                                                                      {"Other", "C"},
                                                                                      {"Alpha", "Alphabetic"},
                                                                                      {"Space", "White_Space"},
                                                                                      {"Digit", "Nd"},
                                                                                      {"Upper", "Uppercase"},
                                                                                      {"Lower", "Lowercase"}}};
    if (name.empty() || name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") != name.npos) {
      refuse(fmt::format("the property {}", name));
    }
    if (categories.find(fmt::format(" {} ", name)) != std::string_view::npos) return std::string(name);
    for (const auto& [from, to] : names) {
      if (name == from) return std::string(to);
    }
    return fmt::format("sc:{}", name);
  }

  std::string_view in_;
  const std::string& place_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string pcre2_pattern(std::string_view pattern, const std::string& place) {
  return Translator(pattern, place).translate();
}

}  // namespace hearth::tokenization

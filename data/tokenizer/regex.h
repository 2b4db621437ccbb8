// Regular expressions as tokenizer files write them (Oniguruma's Ruby syntax), carried out by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace hearth::tokenization {

/// The same expression in PCRE2's syntax under UTF, UCP and MULTILINE. What the two understand differently is rewritten
/// (\s, \w, \b, \h, \v, \p{Script}, ...) or refused by name (nested classes, &&, {n,m}+, inline options other than i,
/// ...). Throws Kind::data naming `place`.
std::string pcre2_pattern(std::string_view pattern, const std::string& place);

/// A compiled expression. Immutable; any number of threads may match with it.
class Regex {
 public:
  /// Throws Kind::data naming `place` when the expression is not understood.
  Regex(std::string_view pattern, const std::string& place);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  /// Whether some text makes it match nothing at all (as far as can be told; if in doubt, yes).
  bool can_match_nothing() const;
  /// The expression that matches exactly `text`.
  static Regex literal(std::string_view text, const std::string& place);

 private:
  friend class Matcher;
  struct Code;
  std::unique_ptr<Code> code_;
};

/// What one thread needs to match with a Regex, which must outlive it.
class Matcher {
 public:
  explicit Matcher(const Regex& regex);
  ~Matcher();
  Matcher(Matcher&&) noexcept;
  Matcher& operator=(Matcher&&) noexcept;
  /// The leftmost match that begins at or after `from`. REQUIRES: valid UTF-8, `from` at a character's beginning.
  /// Throws Kind::data when the expression needs more steps on this text than hearth allows.
  bool find(std::string_view text, std::size_t from);
  /// The next match of a walk over `text` that started with find(text, 0): an empty match directly behind the last
  /// match is passed over, as Oniguruma's iterator does.
  bool find_next(std::string_view text);
  std::size_t begin() const { return begin_; }
  std::size_t end() const { return end_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  const Regex* regex_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace hearth::tokenization

// Tokens that are found in the text itself, before it is cut into words.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::tokenization {

struct AddedToken {
  std::int32_t id = -1;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the spaces before it
  bool rstrip = false;       // takes the spaces behind it
  bool normalized = true;    // searched in the normalised text
  bool special = false;      // left out when decoding says so
  std::string decoded;       // what decoders are given: the content, normalised where it is searched so
};

/// Finds tokens in text: leftmost, longest.
class TokenFinder {
 public:
  /// Adds a token under the text it is searched by. Returns the token that is searched by the same text already, and adds
  /// none; else null. REQUIRES: not empty.
  const AddedToken* add(std::string_view text, const AddedToken& token);
  bool empty() const { return tokens_.empty(); }

  struct Found {
    std::size_t begin;
    std::size_t end;
    std::int32_t id;
  };
  /// Calls `gap` with what lies between tokens (never empty) and `token` with the tokens, in order.
  template <class Gap, class Token>
  void walk(std::string_view text, Gap&& gap, Token&& token) const {
    std::size_t from = 0;  // behind the last token and the spaces that it took
    std::size_t searched = 0;
    Found found{};
    while (next(text, from, searched, found)) {
      if (found.begin > from) gap(from, found.begin);
      token(found.id);
      from = found.end;
    }
    if (from < text.size()) gap(from, text.size());
  }

 private:
  struct Node {
    std::vector<std::pair<std::uint8_t, std::uint32_t>> children;  // sorted by byte
    std::int32_t token = -1;                                       // index into tokens_
  };
  bool next(std::string_view text, std::size_t from, std::size_t& searched, Found& found) const;
  std::int32_t longest_at(std::string_view text, std::size_t at, std::size_t& length) const;

  std::array<bool, 256> begins_{};
  std::vector<Node> nodes_{1};
  std::vector<AddedToken> tokens_;
};

}  // namespace hearth::tokenization

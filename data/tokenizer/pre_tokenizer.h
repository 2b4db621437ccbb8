// How a tokenizer cuts text into words.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer/json.h"
#include "data/tokenizer/regex.h"

namespace hearth::tokenization {

/// Takes pieces of text one after another. A piece lives for the call only.
class PieceSink {
 public:
  virtual ~PieceSink() = default;
  /// `beginning`: so many of its first bytes came of the first character of the whole input, or were put before it.
  virtual void take(std::string_view piece, std::size_t beginning) = 0;
};

/// What one thread needs for one step; reused from call to call.
struct StepRoom {
  std::string text;
  std::unique_ptr<Matcher> matcher;
  struct Span {
    std::size_t begin;
    std::size_t end;
    bool match;
  };
  std::vector<Span> spans;
};

/// One step: cuts, and sometimes rewrites, a piece. Immutable.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  /// Hands non-empty pieces to `next`, in order.
  virtual void cut(std::string_view piece, std::size_t beginning, StepRoom& room, PieceSink& next) const = 0;
};

/// Of the first `beginning` bytes of a piece, those in its part [begin, end).
inline std::size_t beginning_of_part(std::size_t beginning, std::size_t begin, std::size_t end) {
  return beginning > begin ? std::min(beginning, end) - begin : 0;
}

enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
enum class Scanning { by_hand, by_regex };  // by hand where a scanner for this very expression exists

/// A step that cuts where an expression matches.
std::unique_ptr<PreTokenizerStep> split_step(std::string_view pattern, Behavior behavior, bool invert,
                                             const std::string& place, Scanning scanning = Scanning::by_hand);
/// The expression by which byte-level tokenizers cut when the file gives none (GPT-2).
std::string_view gpt2_pattern();

/// The steps of "pre_tokenizer", in order; none for null.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  /// Throws Kind::data for what is malformed or not understood.
  explicit PreTokenizer(const Json& description, Scanning scanning = Scanning::by_hand);
  /// Whether the words are raw bytes that the model reads byte by byte: the last step is ByteLevel, and its rewriting
  /// of bytes as characters is left to the model.
  bool bytes() const { return bytes_; }
  /// Whether a step asks what the beginning is.
  bool asks_for_beginning() const { return asks_for_beginning_; }
  /// Hands the words of `text` to `words`. `rooms` belongs to the calling thread and to this pre-tokenizer.
  void cut(std::string_view text, std::size_t beginning, std::vector<StepRoom>& rooms, PieceSink& words) const;

 private:
  void add(const Json& description, Scanning scanning, bool last);
  void add_byte_level(const Json& description, Scanning scanning, bool last);
  void cut_from(std::size_t step, std::string_view text, std::size_t beginning, std::vector<StepRoom>& rooms,
                PieceSink& words) const;

  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
  bool bytes_ = false;
  bool asks_for_beginning_ = false;
};

}  // namespace hearth::tokenization

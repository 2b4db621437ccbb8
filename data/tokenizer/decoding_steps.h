// The steps of decoders. Each does what Hugging Face tokenizers' decoder of that name does to a list of tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/decoder.h"
#include "data/tokenizer/regex.h"

namespace hearth::tokenization {

class JoinBySpaces final : public DecodingStep {
 public:
  void take(std::string_view token, const Emit& emit) override;

 private:
  bool first_ = true;
};

/// Holds a joined text back until it is whole, for a step that must see all of it.
class Gather final : public DecodingStep {
 public:
  void take(std::string_view token, const Emit& /*emit*/) override { text_ += token; }
  void finish(const Emit& emit) override { emit(text_); }

 private:
  std::string text_;
};

/// Characters back to bytes, and the bytes of all tokens to UTF-8; each longest piece of a character that is not
/// followed by its rest becomes U+FFFD.
class BytesOfCharacters final : public DecodingStep {
 public:
  void take(std::string_view token, const Emit& emit) override;
  void finish(const Emit& emit) override;

 private:
  std::string bytes_;  // before take(): less than a character
  std::string text_;
};

/// A run of tokens "<0xHH>" becomes its text where that is UTF-8, else U+FFFD for each; known only at the run's end.
class ByteFallback final : public DecodingStep {
 public:
  void take(std::string_view token, const Emit& emit) override;
  void finish(const Emit& emit) override;

 private:
  std::string bytes_;
};

class ReplaceText final : public DecodingStep {
 public:
  ReplaceText(std::string from, std::string to, bool joined)
      : from_(std::move(from)), to_(std::move(to)), joined_(joined) {}
  void take(std::string_view token, const Emit& emit) override;
  void finish(const Emit& emit) override;

 private:
  std::string from_;
  std::string to_;
  bool joined_;
  std::string held_;  // joined: the end of the text so far, which may be the beginning of `from_`
};

class ReplaceRegex final : public DecodingStep {
 public:
  ReplaceRegex(std::shared_ptr<const Regex> regex, std::string to)
      : regex_(std::move(regex)), matcher_(*regex_), to_(std::move(to)) {}
  void take(std::string_view token, const Emit& emit) override;

 private:
  std::shared_ptr<const Regex> regex_;
  Matcher matcher_;
  std::string to_;
};

/// Takes up to `start` and `stop` of one character off both ends of each token (joined: of the whole text).
class Strip final : public DecodingStep {
 public:
  Strip(std::string content, std::size_t start, std::size_t stop, bool joined)
      : content_(std::move(content)), start_(start), stop_(stop), joined_(joined), left_(start) {}
  void take(std::string_view token, const Emit& emit) override;
  void finish(const Emit& emit) override;

 private:
  void take_joined(std::string_view text, const Emit& emit);
  std::string_view without_start(std::string_view text, std::size_t& left) const;
  std::size_t trailing(std::string_view text) const;

  std::string content_;
  std::size_t start_;
  std::size_t stop_;
  bool joined_;
  std::size_t left_;      // joined: how many may still go at the start
  std::size_t held_ = 0;  // joined: how many of the character wait at the end
};

/// Marks back to spaces; those of the first token vanish where a prefix was put there.
class MetaspaceMarks final : public DecodingStep {
 public:
  MetaspaceMarks(std::string mark, bool prefix, bool joined)
      : mark_(std::move(mark)), prefix_(prefix), joined_(joined) {}
  void take(std::string_view token, const Emit& emit) override;

 private:
  std::string mark_;
  bool prefix_;
  bool joined_;
  bool first_ = true;
};

}  // namespace hearth::tokenization

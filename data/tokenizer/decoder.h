// How a tokenizer makes text of tokens, one token after another.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/json.h"

namespace hearth::tokenization {

using Emit = std::function<void(std::string_view)>;

/// One step of one decoding. It receives whole tokens, or, where a step before it joined all tokens into one, whole
/// characters of that one; it hands on the same way.
class DecodingStep {
 public:
  virtual ~DecodingStep() = default;
  virtual void take(std::string_view token, const Emit& emit) = 0;
  virtual void finish(const Emit& /*emit*/) {}
};

/// The state of one decoding: tokens in, text out as soon as no later token can change it.
class Decoding {
 public:
  explicit Decoding(std::vector<std::unique_ptr<DecodingStep>> steps);
  void take(std::string_view token) { feed(0, token); }
  void finish();
  /// The text that came out since the last call. Never ends inside a character.
  std::string text();

 private:
  void feed(std::size_t step, std::string_view token);

  std::vector<std::unique_ptr<DecodingStep>> steps_;
  std::string text_;
};

/// What "decoder" says. Immutable.
class Decoder {
 public:
  /// No decoder in the file: tokens are joined by spaces.
  Decoder();
  /// Throws Kind::data for what is malformed or not understood.
  explicit Decoder(const Json& description);
  Decoding begin() const;

 private:
  using Maker = std::function<std::unique_ptr<DecodingStep>()>;
  void add(const Json& description);
  void add_replace(const Json& description);
  void add_strip(const Json& description);
  void add_metaspace(const Json& description);

  std::vector<Maker> makers_;
  bool joined_ = false;  // all tokens are one by now
};

}  // namespace hearth::tokenization

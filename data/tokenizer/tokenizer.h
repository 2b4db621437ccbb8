// Text to token ids and back, as a Hugging Face tokenizer.json says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace hearth {

/// Whether what the tokenizer puts before and behind a text (its post-processor: begin of text, ...) is added.
enum class Special { none, added };

/// A tokenizer: immutable, shared by copies, used from any number of threads.
///
/// Byte-pair encodings, byte-level or with byte fallback, give the ids of Hugging Face tokenizers 0.23; what a file
/// holds and hearth does not understand is refused by name when it is loaded.
class Tokenizer {
 public:
  /// Reads a tokenizer.json, or the one in a model folder. Beside one in a folder tokenizer_config.json is read where
  /// it exists: the names of the begin and end tokens, and, for the classes of Llama and Gemma, which transformers lets
  /// override the file, whether they are added. Throws Kind::data naming file and place.
  static Tokenizer load(const Path& file_or_folder);
  /// The same from a tokenizer.json in memory; `name` stands in the messages.
  static Tokenizer parse(std::string json, const std::string& name);

  /// The ids of a text. Added tokens in the text are found always; throws Kind::data when it is not UTF-8.
  std::vector<std::int32_t> encode(std::string_view text, Special special) const;
  /// The text of ids: what is not UTF-8 becomes U+FFFD, ids that no token has are left out, and special tokens too
  /// where `skip_special` says so.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special) const;

  /// The largest id plus one.
  std::int64_t vocabulary_size() const;
  std::optional<std::int32_t> id_of(std::string_view token) const;
  /// The token as the file writes it. Throws Kind::data when no token has the id.
  std::string token_of(std::int32_t id) const;
  bool is_special(std::int32_t id) const;

  /// Whether encode(..., Special::added) begins with bos(), ends with eos().
  bool adds_bos() const;
  bool adds_eos() const;
  /// The token that begins a text: what tokenizer_config.json names, else what the post-processor puts there.
  std::optional<std::int32_t> bos() const;
  /// The token that ends a text, likewise.
  std::optional<std::int32_t> eos() const;

  /// Changes whenever any text could get other ids: the SHA-384 of json(), and of what tokenizer_config.json overrides
  /// where it overrides something.
  const std::string& digest() const;
  /// The bytes of tokenizer.json as they were read.
  const std::string& json() const;

 private:
  friend class StreamDecoder;
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

/// Ids to text as they come. What push() and finish() return, laid end to end, is decode() of all the ids; no piece
/// ever ends inside a character. Belongs to one thread; outlives its tokenizer if need be.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special);
  ~StreamDecoder();
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder&&) noexcept;
  /// The text that this id completes; often empty.
  std::string push(std::int32_t id);
  /// What was held back. No push() afterwards.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth

// What a tokenizer does to text before it cuts it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/json.h"

namespace hearth::tokenization {

/// One step. Immutable; any thread may use it.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  /// The normalised text: `text` itself where nothing changes, else a view of `room`, which is overwritten.
  /// REQUIRES: `text` does not view `room`.
  virtual std::string_view apply(std::string_view text, std::string& room) const = 0;
  /// Of the `beginning` first bytes of `before`, which came of the input's first character or were put before it: so many
  /// first bytes of `after`, which apply() made of `before`, did. As Hugging Face tokenizers aligns them: what is put in
  /// belongs to what stands before it.
  virtual std::size_t beginning_after(std::string_view before, std::string_view after, std::size_t beginning) const = 0;
};

/// Two rooms that a normaliser writes into by turns.
struct NormalizerRooms {
  std::string first;
  std::string second;
};

/// The steps of "normalizer", in order; none for null.
class Normalizer {
 public:
  Normalizer() = default;
  /// Throws Kind::data for what is malformed or not understood.
  explicit Normalizer(const Json& description);
  /// The normalised text: views `text` or `rooms`. With `beginning`: so many first bytes of the text are its beginning,
  /// and then, of the normalised text.
  std::string_view apply(std::string_view text, NormalizerRooms& rooms, std::size_t* beginning = nullptr) const;

 private:
  void add(const Json& description);
  std::vector<std::unique_ptr<NormalizerStep>> steps_;
};

}  // namespace hearth::tokenization

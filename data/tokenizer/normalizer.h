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
  /// The normalised text: views `text` or `rooms`.
  std::string_view apply(std::string_view text, NormalizerRooms& rooms) const;

 private:
  void add(const Json& description);
  std::vector<std::unique_ptr<NormalizerStep>> steps_;
};

}  // namespace hearth::tokenization

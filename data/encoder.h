// What data needs of a tokenizer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// Text to token ids, from several threads at once. Which tokens begin and end a document is asked apart, so that
/// nothing adds them twice.
class Encoder {
 public:
  virtual ~Encoder() = default;
  /// The ids of a text, nothing put before or behind them. REQUIRES: valid UTF-8.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// The token that the tokenizer puts before a document, if it puts one.
  virtual std::optional<std::int32_t> begin() const = 0;
  /// The token that ends a document, if the model has one.
  virtual std::optional<std::int32_t> end() const = 0;
  /// Changes whenever any text could get other ids; begin and end need not be in it.
  virtual std::string digest() const = 0;
};

}  // namespace hearth

// A read-only view of a JSON document that knows where it is, so that every complaint names its place.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::tokenization {

/// One value of a parsed document. Views the parser's memory, which must outlive it.
/// Every function throws Kind::data naming the place ("FILE: model.merges[3]") when the value is not what is asked for.
class Json {
 public:
  Json(simdjson::dom::element element, std::string place) : element_(element), place_(std::move(place)) {}

  const std::string& place() const { return place_; }
  bool is_null() const { return element_.is_null(); }
  bool is_text() const { return element_.is_string(); }
  bool is_object() const { return element_.is_object(); }
  bool is_array() const { return element_.is_array(); }

  std::string_view text() const;
  bool flag() const;
  std::int64_t integer(std::int64_t low, std::int64_t high) const;
  double number() const;
  /// The elements of an array.
  std::vector<Json> items() const;
  /// Calls `each` with every key and value of an object, in file order.
  void each(const std::function<void(std::string_view, simdjson::dom::element)>& each) const;
  simdjson::dom::array array() const;
  /// How many fields an object has (at least: the count saturates at some millions).
  std::size_t fields() const;

  /// The value under a key; nothing when the key is absent or null.
  std::optional<Json> find(std::string_view key) const;
  /// The value under a key that must be there (null is a value).
  Json at(std::string_view key) const;
  std::string_view text_at(std::string_view key) const { return at(key).text(); }
  bool flag_or(std::string_view key, bool otherwise) const;
  /// Refuses, by name, any key of this object that is not listed, and any key that occurs twice.
  void only(std::initializer_list<std::string_view> keys) const;

  /// Throws Kind::data: the place, then the complaint.
  [[noreturn]] void refuse(std::string_view complaint) const;

 private:
  simdjson::dom::element element_;
  std::string place_;
};

}  // namespace hearth::tokenization

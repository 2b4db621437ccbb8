#include "model/hf/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "model/hf/json.h"

namespace hearth::hf {

namespace {

/// Takes the events of the JSON parser and lets only the one form pass that the format has:
/// {"__metadata__": {text: text}, NAME: {"dtype": text, "shape": [unsigned], "data_offsets": [unsigned, unsigned]}}.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(std::string where, SafetensorsHeader& header) : where_(std::move(where)), header_(header) {}

  bool start_object(std::size_t) override {
    if (place_ == Place::before) return go(Place::top);
    if (place_ != Place::top) refuse("an object where none belongs");
    seen_.clear();
    if (name_ == "__metadata__") return go(Place::metadata);
    entry_ = {};
    offsets_.clear();
    return go(Place::entry);
  }

  bool key(string_t& text) override {
    if (place_ == Place::top) {
      if (!names_.insert(text).second) refuse(fmt::format("the key {} twice", quoted(text)));
      name_ = text;
      return true;
    }
    if (!seen_.insert(text).second) refuse(fmt::format("the key {} twice", quoted(text)));
    if (place_ == Place::entry && text != "dtype" && text != "shape" && text != "data_offsets")
      refuse(fmt::format("the unknown key {}", quoted(text)));
    field_ = text;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::top) return go(Place::after);
    if (place_ == Place::entry) finish_entry();
    return go(Place::top);
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::entry && field_ == "shape") return go(Place::shape);
    if (place_ == Place::entry && field_ == "data_offsets") return go(Place::offsets);
    refuse("a list where none belongs");
  }
  bool end_array() override { return go(Place::entry); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape) {
      entry_.dims.push_back(value);
    } else if (place_ == Place::offsets) {
      if (offsets_.size() == 2) refuse("data_offsets that are not two numbers");
      offsets_.push_back(value);
    } else {
      refuse("a number where none belongs");
    }
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) {
      header_.metadata.emplace(field_, text);
      return true;
    }
    if (place_ != Place::entry || field_ != "dtype") refuse("a text where none belongs");
    const std::optional<Stored> dtype = stored_named(text);
    if (!dtype) refuse(fmt::format("the unknown dtype {}", quoted(text)));
    entry_.dtype = *dtype;
    return true;
  }

  bool number_integer(number_integer_t value) override {
    refuse(fmt::format("{} where an unsigned integer belongs", value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    refuse(fmt::format("{} where an unsigned 64-bit integer belongs", text));
  }
  bool null() override { refuse("a null"); }
  bool boolean(bool) override { refuse("true or false"); }
  bool binary(binary_t&) override { refuse("binary data"); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    fail(Kind::data, "{}: InvalidHeaderDeserialization: the header is not valid JSON: {}", where_, error.what());
  }

 private:
  enum class Place { before, top, metadata, entry, shape, offsets, after };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  static std::string quoted(const std::string& text) { return shown(Json(text)); }

  [[noreturn]] void refuse(const std::string& what) const {
    const bool inside = place_ != Place::before && place_ != Place::after && !name_.empty();
    fail(Kind::data, "{}: InvalidHeaderDeserialization: the header has {}{}", where_, what,
         inside ? fmt::format(" (at {})", quoted(name_)) : "");
  }

  void finish_entry() {
    for (const char* field : {"dtype", "shape", "data_offsets"})
      if (!seen_.contains(field)) refuse(fmt::format("no {}", field));
    if (offsets_.size() != 2) refuse("data_offsets that are not two numbers");
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    header_.tensors.emplace(name_, entry_);
  }

  std::string where_;
  SafetensorsHeader& header_;
  Place place_ = Place::before;
  std::set<std::string> names_;
  std::set<std::string> seen_;
  std::string name_;
  std::string field_;
  TensorInfo entry_;
  std::vector<std::uint64_t> offsets_;
};

/// A text where weights should be: what a download leaves when it did not fetch the file itself.
void refuse_text(std::string_view start, const std::string& where) {
  if (start.starts_with("version https://git-lfs"))
    fail(Kind::data, "{} is a Git LFS pointer, not the weights; fetch them with `git lfs pull`", where);
  const std::size_t first = start.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || start.size() - first < 5) return;
  const std::string_view text = start.substr(first, 5);
  if (text.starts_with("<!") || text == "<html" || text == "<HTML" || text == "<?xml")
    fail(Kind::data, "{} is an HTML page, not weights: probably an error page of a download; fetch the file again",
         where);
}

std::uint64_t header_length(std::span<const std::byte> bytes, std::uint64_t file_bytes, const std::string& where) {
  if (file_bytes < 8 || bytes.size() < 8)
    fail(Kind::data, "{}: HeaderTooSmall: {} bytes, and the length of the header alone takes 8", where, file_bytes);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  if (length > most_header_bytes)
    fail(Kind::data, "{}: HeaderTooLarge: a header of {} bytes is claimed; {} are allowed", where, length,
         most_header_bytes);
  if (length > file_bytes - 8 || length > bytes.size() - 8)
    fail(Kind::data, "{}: InvalidHeaderLength: a header of {} bytes is claimed, and the file has {} in all", where,
         length, file_bytes);
  return length;
}

/// The bytes that shape and dtype call for.
std::uint64_t size_of(const TensorInfo& tensor, const std::string& name, const std::string& where) {
  std::uint64_t elements = 1;
  std::uint64_t bits = 0;
  bool overflow = false;
  for (const std::uint64_t dim : tensor.dims) overflow = overflow || __builtin_mul_overflow(elements, dim, &elements);
  overflow = overflow || __builtin_mul_overflow(elements, bits_of(tensor.dtype), &bits);
  if (overflow)
    fail(Kind::data, "{}: ValidationOverflow: the size of {} {} does not fit 64 bits", where, shown(Json(name)),
         tensor.shape());
  if (bits % 8 != 0)
    fail(Kind::data, "{}: MisalignedSlice: {} has {} bits, no whole number of bytes", where, shown(Json(name)), bits);
  return bits / 8;
}

void check_offsets(const SafetensorsHeader& header, std::uint64_t file_bytes, const std::string& where) {
  using Entry = std::pair<const std::string, TensorInfo>;
  std::vector<const Entry*> order;
  order.reserve(header.tensors.size());
  for (const Entry& entry : header.tensors) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t at = 0;
  for (const Entry* entry : order) {
    const auto& [name, tensor] = *entry;
    if (tensor.begin != at || tensor.end < tensor.begin)
      fail(Kind::data, "{}: InvalidOffset: {} has the bytes {} to {}; it must begin at {} where the one before it ends",
           where, shown(Json(name)), tensor.begin, tensor.end, at);
    const std::uint64_t bytes = size_of(tensor, name, where);
    if (tensor.bytes() != bytes)
      fail(Kind::data, "{}: TensorInvalidInfo: {} {} of {} takes {} bytes, its offsets span {}", where,
           shown(Json(name)), tensor.shape(), name_of(tensor.dtype), bytes, tensor.bytes());
    at = tensor.end;
  }
  const std::uint64_t room = file_bytes - header.data_begin;
  if (at != room)
    fail(Kind::data, "{}: MetadataIncompleteBuffer: the tensors take {} bytes, and the file has {} for them", where, at,
         room);
}

}  // namespace

std::uint64_t TensorInfo::elements() const {
  std::uint64_t product = 1;
  for (const std::uint64_t dim : dims) product *= dim;
  return product;
}

std::string TensorInfo::shape() const {
  return fmt::format("({})", fmt::join(dims, ", "));
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes, std::uint64_t file_bytes,
                                           const std::string& where) {
  const auto* characters = reinterpret_cast<const char*>(bytes.data());
  refuse_text({characters, std::min<std::size_t>(bytes.size(), 256)}, where);
  const std::uint64_t length = header_length(bytes, file_bytes, where);
  const std::string_view text(characters + 8, static_cast<std::size_t>(length));
  if (const auto offset = first_invalid_utf8(text))
    fail(Kind::data, "{}: InvalidHeader: byte {} of the header is not UTF-8", where, *offset);
  if (!text.starts_with('{'))
    fail(Kind::data, "{}: InvalidHeaderDeserialization: the header must begin with '{{'", where);
  if (text.find('\0') != std::string_view::npos)  // where the parser would stop, and see nothing of the rest
    fail(Kind::data, "{}: InvalidHeaderDeserialization: the header has a zero byte", where);
  SafetensorsHeader header;
  header.data_begin = 8 + length;
  HeaderReader reader(where, header);
  Json::sax_parse(text, &reader);
  check_offsets(header, file_bytes, where);
  return header;
}

}  // namespace hearth::hf

#include "data/tokenizer/normalizer.h"

#include <unicode/normalizer2.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "data/tokenizer/alphabet.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/unicode.h"

namespace hearth::tokenization {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// How long the beginning of a text is after replacements in it, one after the other.
class ReplacedBeginning {
 public:
  explicit ReplacedBeginning(std::size_t beginning) : beginning_(beginning) {}

  /// [begin, end) became `length` bytes, which belong to the last character that they replace, or to the one before them.
  void match(std::size_t begin, std::size_t end, std::size_t length) {
    size_ += std::min(begin, beginning_) - std::min(at_, beginning_);
    if (end <= beginning_) size_ += length;
    at_ = end;
  }
  std::size_t size() const { return size_ + beginning_ - std::min(at_, beginning_); }

 private:
  std::size_t beginning_;
  std::size_t at_ = 0;
  std::size_t size_ = 0;
};

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

class UnicodeForm final : public NormalizerStep {
 public:
  UnicodeForm(const icu::Normalizer2& form) : form_(form) {}

  std::string_view apply(std::string_view text, std::string& room) const override {
    if (is_ascii(text)) return text;  // ASCII is itself in all four forms
    UErrorCode error = U_ZERO_ERROR;
    const icu::StringPiece piece(text.data(), static_cast<std::int32_t>(text.size()));
    if (form_.isNormalizedUTF8(piece, error) != 0 && U_SUCCESS(error) != 0) return text;
    room.clear();
    icu::StringByteSink<std::string> sink(&room);
    form_.normalizeUTF8(0, piece, sink, nullptr, error);
    if (U_FAILURE(error) != 0) fail(Kind::machine, "Unicode normalisation failed: {}", u_errorName(error));
    return room;
  }

  /// A character that is taken apart gives its place to its parts; one that others join keeps its own.
  std::size_t beginning_after(std::string_view before, std::string_view after, std::size_t beginning) const override {
    if (beginning == 0 || before == after) return beginning;
    std::string room;
    const std::string_view parts = apply(before.substr(0, beginning), room);
    std::size_t at = 0;
    for (std::size_t left = characters_in(parts); left > 0 && at < after.size(); --left) {
      at += utf8_length(static_cast<unsigned char>(after[at]));
    }
    return at;
  }

 private:
  const icu::Normalizer2& form_;
};

class Prepend final : public NormalizerStep {
 public:
  explicit Prepend(std::string_view text) : text_(text) {}
  std::string_view apply(std::string_view text, std::string& room) const override {
    if (text.empty()) return text;
    room = text_;
    room += text;
    return room;
  }
  std::size_t beginning_after(std::string_view before, std::string_view after, std::size_t beginning) const override {
    return beginning == 0 ? 0 : beginning + (after.size() - before.size());
  }

 private:
  std::string text_;
};

class ReplaceText final : public NormalizerStep {
 public:
  ReplaceText(std::string_view from, std::string_view to) : from_(from), to_(to) {}
  std::string_view apply(std::string_view text, std::string& room) const override {
    std::size_t found = text.find(from_);
    if (found == std::string_view::npos) return text;
    room.clear();
    std::size_t at = 0;
    for (; found != std::string_view::npos; found = text.find(from_, at)) {
      room.append(text, at, found - at);
      room += to_;
      at = found + from_.size();
    }
    room.append(text, at);
    return room;
  }
  std::size_t beginning_after(std::string_view before, std::string_view /*after*/,
                              std::size_t beginning) const override {
    ReplacedBeginning replaced(beginning);
    for (std::size_t found = before.find(from_); found < beginning; found = before.find(from_, found + from_.size())) {
      replaced.match(found, found + from_.size(), to_.size());
    }
    return replaced.size();
  }

 private:
  std::string from_;
  std::string to_;
};

class ReplaceRegex final : public NormalizerStep {
 public:
  ReplaceRegex(Regex regex, std::string_view to) : regex_(std::move(regex)), to_(to) {}
  std::string_view apply(std::string_view text, std::string& room) const override {
    if (text.empty()) return text;  // nothing is looked for where nothing is
    Matcher matcher(regex_);
    if (!matcher.find(text, 0)) return text;
    room.clear();
    std::size_t at = 0;
    do {
      room.append(text, at, matcher.begin() - at);
      room += to_;
      at = matcher.end();
    } while (matcher.find_next(text));
    room.append(text, at);
    return room;
  }
  std::size_t beginning_after(std::string_view before, std::string_view /*after*/,
                              std::size_t beginning) const override {
    if (before.empty()) return 0;
    ReplacedBeginning replaced(beginning);
    Matcher matcher(regex_);
    for (bool found = matcher.find(before, 0); found && matcher.begin() <= beginning;
         found = matcher.find_next(before)) {
      replaced.match(matcher.begin(), matcher.end(), to_.size());
    }
    return replaced.size();
  }

 private:
  Regex regex_;
  std::string to_;
};

class Strip final : public NormalizerStep {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  std::string_view apply(std::string_view text, std::string& /*room*/) const override {
    if (left_) text.remove_prefix(spaces_at_start(text));
    if (right_) text = text.substr(0, spaces_at_end(text));
    return text;
  }
  std::size_t beginning_after(std::string_view before, std::string_view after, std::size_t beginning) const override {
    const std::size_t taken = after.empty() ? before.size() : static_cast<std::size_t>(after.data() - before.data());
    return std::min(beginning > taken ? beginning - taken : 0, after.size());
  }

 private:
  bool left_;
  bool right_;
};

class BytesAsCharacters final : public NormalizerStep {
 public:
  std::string_view apply(std::string_view text, std::string& room) const override {
    room.clear();
    append_as_characters(text, room);
    return room;
  }
  std::size_t beginning_after(std::string_view before, std::string_view /*after*/,
                              std::size_t beginning) const override {
    std::string room;
    append_as_characters(before.substr(0, beginning), room);
    return room.size();
  }
};

std::unique_ptr<NormalizerStep> unicode_form(const Json& description, std::string_view name) {
  description.only({"type"});
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* form = nullptr;
  if (name == "NFC") form = icu::Normalizer2::getNFCInstance(error);
  if (name == "NFD") form = icu::Normalizer2::getNFDInstance(error);
  if (name == "NFKC") form = icu::Normalizer2::getNFKCInstance(error);
  if (name == "NFKD") form = icu::Normalizer2::getNFKDInstance(error);
  if (form == nullptr || U_FAILURE(error) != 0) fail(Kind::machine, "ICU has no data for {}", name);
  return std::make_unique<UnicodeForm>(*form);
}

std::unique_ptr<NormalizerStep> replace(const Json& description) {
  description.only({"type", "pattern", "content"});
  const std::string_view to = description.text_at("content");
  const Json pattern = description.at("pattern");
  pattern.only({"String", "Regex"});
  if (const auto expression = pattern.find("Regex")) {
    Regex regex(expression->text(), expression->place());
    // What is put in before a text has no place in it for Hugging Face tokenizers, whose later steps then repeat or lose parts.
    if (regex.can_match_nothing() && !to.empty()) {
      expression->refuse(
          "the expression can match where nothing stands: a text that is put in there is not supported; write "
          "an expression that always matches something, or use Prepend");
    }
    return std::make_unique<ReplaceRegex>(std::move(regex), to);
  }
  const std::string_view from = pattern.text_at("String");
  if (from.empty()) pattern.refuse("an empty text cannot be replaced");
  return std::make_unique<ReplaceText>(from, to);
}

}  // namespace

Normalizer::Normalizer(const Json& description) {
  add(description);
}

void Normalizer::add(const Json& description) {
  const std::string_view type = description.text_at("type");
  if (type == "Sequence") {
    description.only({"type", "normalizers"});
    for (const Json& step : description.at("normalizers").items()) add(step);
  } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    steps_.push_back(unicode_form(description, type));
  } else if (type == "Replace") {
    steps_.push_back(replace(description));
  } else if (type == "Prepend") {
    description.only({"type", "prepend"});
    steps_.push_back(std::make_unique<Prepend>(description.text_at("prepend")));
  } else if (type == "Strip") {
    description.only({"type", "strip_left", "strip_right"});
    steps_.push_back(
        std::make_unique<Strip>(description.at("strip_left").flag(), description.at("strip_right").flag()));
  } else if (type == "ByteLevel") {
    description.only({"type"});
    steps_.push_back(std::make_unique<BytesAsCharacters>());
  } else {
    description.refuse(fmt::format("the normalizer {} is not supported", type));
  }
}

std::string_view Normalizer::apply(std::string_view text, NormalizerRooms& rooms, std::size_t* beginning) const {
  std::string* room = &rooms.first;
  std::string* other = &rooms.second;
  for (const auto& step : steps_) {
    const std::string_view result = step->apply(text, *room);
    if (beginning != nullptr) *beginning = step->beginning_after(text, result, *beginning);
    const bool written = result.data() == room->data();
    text = result;
    if (written) std::swap(room, other);
  }
  return text;
}

}  // namespace hearth::tokenization

#include "data/tokenizer/decoding_steps.h"

#include <algorithm>

#include "base/utf8.h"
#include "data/tokenizer/alphabet.h"

namespace hearth::tokenization {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// How the bytes at text[at, ...) go on: `length` bytes that are one character, or are not (then they are the longest
/// beginning of one, at least one byte), or might become one with more bytes.
enum class Utf8 { character, broken, unfinished };

Utf8 look(std::string_view text, std::size_t at, std::size_t& length) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const std::size_t whole = utf8_length(byte(0));
  length = 1;
  if (whole == 0) return Utf8::broken;
  for (; length < whole; ++length) {
    if (at + length == text.size()) return Utf8::unfinished;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (length == 1 && byte(0) == 0xE0) low = 0xA0;
    if (length == 1 && byte(0) == 0xED) high = 0x9F;
    if (length == 1 && byte(0) == 0xF0) low = 0x90;
    if (length == 1 && byte(0) == 0xF4) high = 0x8F;
    if (byte(length) < low || byte(length) > high) return Utf8::broken;
  }
  return Utf8::character;
}

/// The byte of a token "<0xHH>", or -1.
int byte_of_token(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return -1;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const bool digit = c >= '0' && c <= '9';
    const char letter = static_cast<char>(c | 0x20);
    if (!digit && (letter < 'a' || letter > 'f')) return -1;
    value = value * 16 + (digit ? c - '0' : letter - 'a' + 10);
  }
  return value;
}

}  // namespace

void JoinBySpaces::take(std::string_view token, const Emit& emit) {
  if (!first_) emit(" ");
  first_ = false;
  emit(token);
}

void BytesOfCharacters::take(std::string_view token, const Emit& emit) {
  const std::size_t before = bytes_.size();
  for (std::size_t at = 0; at < token.size();) {
    const int byte = byte_of_character(next_utf8(token, at));
    if (byte < 0) {  // a token with any other character stands for itself
      bytes_.resize(before);
      bytes_ += token;
      break;
    }
    bytes_ += static_cast<char>(static_cast<unsigned char>(byte));
  }
  text_.clear();
  std::size_t at = 0;
  while (at < bytes_.size()) {
    std::size_t length = 0;
    const Utf8 kind = look(bytes_, at, length);
    if (kind == Utf8::unfinished) break;
    if (kind == Utf8::character) {
      text_.append(bytes_, at, length);
    } else {
      text_ += replacement_character;
    }
    at += length;
  }
  bytes_.erase(0, at);
  if (!text_.empty()) emit(text_);
}

void BytesOfCharacters::finish(const Emit& emit) {
  if (!bytes_.empty()) emit(replacement_character);
  bytes_.clear();
}

void ByteFallback::take(std::string_view token, const Emit& emit) {
  const int byte = byte_of_token(token);
  if (byte >= 0) {
    bytes_ += static_cast<char>(static_cast<unsigned char>(byte));
    return;
  }
  finish(emit);
  emit(token);
}

void ByteFallback::finish(const Emit& emit) {
  if (bytes_.empty()) return;
  if (!first_invalid_utf8(bytes_)) {
    emit(bytes_);
  } else {
    for (std::size_t i = 0; i < bytes_.size(); ++i) emit(replacement_character);
  }
  bytes_.clear();
}

void ReplaceText::take(std::string_view token, const Emit& emit) {
  std::string joined;
  if (!held_.empty()) {
    joined = held_;
    joined += token;
    token = joined;
  }
  std::string out;
  std::size_t at = 0;
  for (std::size_t found = token.find(from_); found != std::string_view::npos; found = token.find(from_, at)) {
    out.append(token, at, found - at);
    out += to_;
    at = found + from_.size();
  }
  std::string_view rest = token.substr(at);
  if (joined_) {
    std::size_t hold = std::min(rest.size(), from_.size() - 1);
    while (hold > 0 && rest.substr(rest.size() - hold) != std::string_view(from_).substr(0, hold)) --hold;
    held_ = rest.substr(rest.size() - hold);
    rest.remove_suffix(hold);
  }
  out += rest;
  emit(out);
}

void ReplaceText::finish(const Emit& emit) {
  if (!held_.empty()) emit(held_);
  held_.clear();
}

void ReplaceRegex::take(std::string_view token, const Emit& emit) {
  if (token.empty()) return emit(token);  // nothing is looked for where nothing is
  std::string out;
  std::size_t at = 0;
  for (bool found = matcher_.find(token, 0); found; found = matcher_.find_next(token)) {
    out.append(token, at, matcher_.begin() - at);
    out += to_;
    at = matcher_.end();
  }
  out.append(token, at);
  emit(out);
}

std::string_view Strip::without_start(std::string_view text, std::size_t& left) const {
  while (left > 0 && text.substr(0, content_.size()) == content_) {
    text.remove_prefix(content_.size());
    --left;
  }
  if (!text.empty()) left = 0;
  return text;
}

std::size_t Strip::trailing(std::string_view text) const {
  std::size_t count = 0;
  while (text.size() >= content_.size() && text.substr(text.size() - content_.size()) == content_) {
    text.remove_suffix(content_.size());
    ++count;
  }
  return count;
}

void Strip::take(std::string_view token, const Emit& emit) {
  if (joined_) return take_joined(token, emit);
  std::size_t left = start_;
  token = without_start(token, left);
  emit(token.substr(0, token.size() - std::min(trailing(token), stop_) * content_.size()));
}

// At most `stop_` of the character wait at the end; what came before them can no longer be taken off.
void Strip::take_joined(std::string_view text, const Emit& emit) {
  if (left_ > 0) text = without_start(text, left_);
  if (text.empty()) return;
  std::string out;
  for (; held_ > 0; --held_) out += content_;
  out += text;
  held_ = std::min(trailing(out), stop_);
  emit(std::string_view(out).substr(0, out.size() - held_ * content_.size()));
}

void Strip::finish(const Emit& /*emit*/) {
  held_ = 0;
}

void MetaspaceMarks::take(std::string_view token, const Emit& emit) {
  const bool drop = prefix_ && (joined_ || first_);
  first_ = false;
  std::string out;
  std::size_t at = 0;
  for (std::size_t found = token.find(mark_); found != std::string_view::npos; found = token.find(mark_, at)) {
    out.append(token, at, found - at);
    if (!drop) out += ' ';
    at = found + mark_.size();
  }
  out.append(token, at);
  emit(out);
}

}  // namespace hearth::tokenization

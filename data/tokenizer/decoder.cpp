#include "data/tokenizer/decoder.h"

#include "base/error.h"
#include "base/utf8.h"
#include "data/tokenizer/decoding_steps.h"

namespace hearth::tokenization {

Decoding::Decoding(std::vector<std::unique_ptr<DecodingStep>> steps) : steps_(std::move(steps)) {}

void Decoding::feed(std::size_t step, std::string_view token) {
  if (step == steps_.size()) {
    text_ += token;
    return;
  }
  steps_[step]->take(token, [this, step](std::string_view piece) { feed(step + 1, piece); });
}

void Decoding::finish() {
  for (std::size_t step = 0; step < steps_.size(); ++step) {
    steps_[step]->finish([this, step](std::string_view piece) { feed(step + 1, piece); });
  }
}

std::string Decoding::text() {
  std::string text;
  text.swap(text_);
  return text;
}

Decoder::Decoder() {
  makers_.push_back([] { return std::make_unique<JoinBySpaces>(); });
}

Decoder::Decoder(const Json& description) {
  add(description);
}

Decoding Decoder::begin() const {
  std::vector<std::unique_ptr<DecodingStep>> steps;
  steps.reserve(makers_.size());
  for (const Maker& make : makers_) steps.push_back(make());
  return Decoding(std::move(steps));
}

void Decoder::add(const Json& description) {
  const std::string_view type = description.text_at("type");
  if (type == "Sequence") {
    description.only({"type", "decoders"});
    for (const Json& step : description.at("decoders").items()) add(step);
  } else if (type == "ByteLevel") {
    description.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (joined_) makers_.push_back([] { return std::make_unique<Gather>(); });
    makers_.push_back([] { return std::make_unique<BytesOfCharacters>(); });
    joined_ = true;
  } else if (type == "ByteFallback") {
    description.only({"type"});
    if (joined_) makers_.push_back([] { return std::make_unique<Gather>(); });
    makers_.push_back([] { return std::make_unique<ByteFallback>(); });
  } else if (type == "Fuse") {
    description.only({"type"});
    joined_ = true;
  } else if (type == "Replace") {
    add_replace(description);
  } else if (type == "Strip") {
    add_strip(description);
  } else if (type == "Metaspace") {
    add_metaspace(description);
  } else {
    description.refuse(fmt::format("the decoder {} is not supported", type));
  }
}

void Decoder::add_replace(const Json& description) {
  description.only({"type", "pattern", "content"});
  const std::string to(description.text_at("content"));
  const Json pattern = description.at("pattern");
  pattern.only({"String", "Regex"});
  if (const auto expression = pattern.find("Regex")) {
    const auto regex = std::make_shared<const Regex>(expression->text(), expression->place());
    if (joined_) makers_.push_back([] { return std::make_unique<Gather>(); });
    makers_.push_back([regex, to] { return std::make_unique<ReplaceRegex>(regex, to); });
    return;
  }
  const std::string from(pattern.text_at("String"));
  if (from.empty()) pattern.refuse("an empty text cannot be replaced");
  makers_.push_back([from, to, joined = joined_] { return std::make_unique<ReplaceText>(from, to, joined); });
}

void Decoder::add_strip(const Json& description) {
  description.only({"type", "content", "start", "stop"});
  const std::string content(description.text_at("content"));
  if (content.empty() || utf8_length(static_cast<unsigned char>(content[0])) != content.size()) {
    description.refuse("\"content\" must be one character");
  }
  const auto start = static_cast<std::size_t>(description.at("start").integer(0, 1 << 20));
  const auto stop = static_cast<std::size_t>(description.at("stop").integer(0, 1 << 20));
  makers_.push_back([=, joined = joined_] { return std::make_unique<Strip>(content, start, stop, joined); });
}

void Decoder::add_metaspace(const Json& description) {
  description.only({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
  const std::string mark(description.text_at("replacement"));
  if (mark.empty() || utf8_length(static_cast<unsigned char>(mark[0])) != mark.size()) {
    description.refuse("\"replacement\" must be one character");
  }
  bool prefix = description.flag_or("add_prefix_space", true);
  if (const auto scheme = description.find("prepend_scheme")) prefix = scheme->text() != "never";
  makers_.push_back([=, joined = joined_] { return std::make_unique<MetaspaceMarks>(mark, prefix, joined); });
}

}  // namespace hearth::tokenization

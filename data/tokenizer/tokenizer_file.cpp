#include "data/tokenizer/tokenizer_file.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "data/tokenizer/json.h"

namespace hearth::tokenization {
namespace {

constexpr std::size_t longest_added_token = 1024;  // bytes; bounds the search at each place of a text

simdjson::dom::element parse(simdjson::dom::parser& parser, const std::string& json, const std::string& name) {
  if (const auto invalid = first_invalid_utf8(json)) fail(Kind::data, "{}: byte {} is not UTF-8", name, *invalid);
  simdjson::dom::element root;
  const simdjson::error_code error = parser.parse(json).get(root);
  if (error != simdjson::SUCCESS) fail(Kind::data, "{}: not valid JSON: {}", name, simdjson::error_message(error));
  return root;
}

AddedToken read_added_token(const Json& entry) {
  entry.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  AddedToken token;
  token.id = static_cast<std::int32_t>(entry.at("id").integer(0, Vocabulary::most_ids - 1));
  token.content = entry.text_at("content");
  token.single_word = entry.flag_or("single_word", false);
  token.lstrip = entry.flag_or("lstrip", false);
  token.rstrip = entry.flag_or("rstrip", false);
  token.special = entry.flag_or("special", false);
  token.normalized = entry.flag_or("normalized", !token.special);
  if (token.content.empty() || token.content.size() > longest_added_token) {
    entry.refuse(fmt::format("\"content\" must have 1 to {} bytes", longest_added_token));
  }
  return token;
}

void check_place(const Json& entry, const AddedToken& token, const TokenizerParts& parts) {
  const Vocabulary& vocabulary = parts.model->vocabulary();
  const auto there = vocabulary.find(token.content);
  if (there && *there != token.id) {
    entry.refuse(fmt::format("\"{}\" has the id {}, but {} in the vocabulary", token.content, token.id, *there));
  }
  if (!there && vocabulary.has(token.id)) {
    entry.refuse(fmt::format("\"{}\" has the id {}, which the vocabulary gives to \"{}\"", token.content, token.id,
                             vocabulary.token(token.id)));
  }
  if (parts.added.by_id.count(token.id) != 0) entry.refuse(fmt::format("the id {} occurs twice", token.id));
  if (parts.added.by_content.count(token.content) != 0) entry.refuse(fmt::format("\"{}\" occurs twice", token.content));
}

void read_added_tokens(const Json& list, TokenizerParts& parts) {
  NormalizerRooms rooms;
  for (const Json& entry : list.items()) {
    AddedToken token = read_added_token(entry);
    check_place(entry, token, parts);
    token.decoded = token.normalized ? std::string(parts.normalizer.apply(token.content, rooms)) : token.content;
    if (token.decoded.empty())
      entry.refuse(fmt::format("nothing of \"{}\" is left after normalisation", token.content));
    parts.added.by_id.emplace(token.id, token);
    parts.added.by_content.emplace(token.content, token.id);
    if (token.special) parts.added.special.insert(token.content);
    parts.added.size = std::max(parts.added.size, token.id + 1);
    TokenFinder& finder = token.normalized ? parts.added.in_normalized_text : parts.added.in_raw_text;
    // Versions of Hugging Face tokenizers do not agree which of the two such a text is.
    if (const AddedToken* other = finder.add(token.decoded, token)) {
      entry.refuse(
          fmt::format("\"{}\" and \"{}\" (id {}) are both \"{}\" after normalisation, so it is not certain which "
                      "of them a text means: remove one of the two, or set \"normalized\" to false",
                      token.content, other->content, other->id, token.decoded));
    }
  }
}

std::optional<std::int32_t> named_token(const Json& config, std::string_view key, const TokenizerParts& parts) {
  const auto value = config.find(key);
  if (!value) return std::nullopt;
  const Json name = value->is_object() ? value->at("content") : *value;
  const auto id = parts.find(name.text());
  if (!id) name.refuse(fmt::format("\"{}\" is not a token of tokenizer.json", name.text()));
  return id;
}

}  // namespace

std::int32_t TokenizerParts::size() const {
  return std::max(model->vocabulary().size(), added.size);
}

std::optional<std::int32_t> TokenizerParts::find(std::string_view token) const {
  const auto it = added.by_content.find(token);
  return it != added.by_content.end() ? std::optional(it->second) : model->vocabulary().find(token);
}

TokenizerParts read_tokenizer(const std::string& json, const std::string& name, Scanning scanning) {
  simdjson::dom::parser parser;
  const Json root(parse(parser, json, name), name);
  root.only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
             "decoder", "model"});
  if (const auto version = root.find("version"); version && version->text() != "1.0") {
    version->refuse(fmt::format("the version {} is not known, only 1.0", version->text()));
  }
  for (const char* key : {"truncation", "padding"}) {
    if (const auto value = root.find(key)) value->refuse("must be null: rows are cut and padded by the recipe");
  }
  TokenizerParts parts;
  if (const auto value = root.find("normalizer")) parts.normalizer = Normalizer(*value);
  if (const auto value = root.find("pre_tokenizer")) parts.pre_tokenizer = PreTokenizer(*value, scanning);
  const Alphabet alphabet = parts.pre_tokenizer.bytes() ? Alphabet::bytes : Alphabet::characters;
  parts.model = std::make_unique<Bpe>(root.at("model"), alphabet);
  if (const auto value = root.find("added_tokens")) read_added_tokens(*value, parts);
  if (parts.size() == 0) root.refuse("the vocabulary is empty");
  if (const auto value = root.find("post_processor")) parts.around = read_post_processor(*value, parts.size());
  if (const auto value = root.find("decoder")) parts.decoder = Decoder(*value);
  return parts;
}

TextEnds read_tokenizer_config(const Path& path, const TokenizerParts& parts) {
  const std::string text = read_text(path);
  simdjson::dom::parser parser;
  const Json config(parse(parser, text, path.string()), path.string());
  TextEnds ends;
  ends.bos = named_token(config, "bos_token", parts);
  ends.eos = named_token(config, "eos_token", parts);
  const auto name = config.find("tokenizer_class");
  const std::string_view tokenizer_class = name && name->is_text() ? name->text() : "";
  const bool obeyed = tokenizer_class.substr(0, 5) == "Llama" || tokenizer_class.substr(0, 9) == "CodeLlama" ||
                      tokenizer_class.substr(0, 5) == "Gemma";
  if (!obeyed) return ends;
  if (const auto value = config.find("add_bos_token")) ends.adds_bos = value->flag();
  if (const auto value = config.find("add_eos_token")) ends.adds_eos = value->flag();
  if (ends.adds_bos.value_or(false) && !ends.bos) config.refuse("add_bos_token is true, but there is no bos_token");
  if (ends.adds_eos.value_or(false) && !ends.eos) config.refuse("add_eos_token is true, but there is no eos_token");
  return ends;
}

}  // namespace hearth::tokenization

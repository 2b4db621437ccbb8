#include "data/tokenizer/tokenizer.h"

#include <mutex>

#include "base/error.h"
#include "base/sha384.h"
#include "base/utf8.h"
#include "data/tokenizer/tokenizer_file.h"

namespace hearth {
namespace {

using tokenization::beginning_of_part;
using tokenization::BpeScratch;
using tokenization::NormalizerRooms;
using tokenization::StepRoom;
using tokenization::TextEnds;
using tokenization::TokenizerParts;

constexpr std::size_t longest_text = std::size_t{1} << 30;

/// What one encode() needs besides the tokenizer; kept for later calls, so that caches stay warm.
struct Scratch {
  BpeScratch bpe;
  NormalizerRooms normalizer;
  std::vector<StepRoom> rooms;
};

/// Lends each caller a Scratch of its own.
class ScratchPool {
 public:
  std::unique_ptr<Scratch> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Scratch>();
    auto scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void give(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

class Lent {
 public:
  explicit Lent(ScratchPool& pool) : pool_(pool), scratch_(pool.take()) {}
  ~Lent() { pool_.give(std::move(scratch_)); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  Scratch& operator*() const { return *scratch_; }

 private:
  ScratchPool& pool_;
  std::unique_ptr<Scratch> scratch_;
};

class WordsToIds final : public tokenization::PieceSink {
 public:
  WordsToIds(const tokenization::Bpe& model, BpeScratch& scratch, std::vector<std::int32_t>& ids)
      : model_(model), scratch_(scratch), ids_(ids) {}
  void take(std::string_view word, std::size_t /*beginning*/) override { model_.encode(word, scratch_, ids_); }

 private:
  const tokenization::Bpe& model_;
  BpeScratch& scratch_;
  std::vector<std::int32_t>& ids_;
};

}  // namespace

struct Tokenizer::State {
  std::string json;
  std::string digest;
  TokenizerParts parts;
  TextEnds ends;
  mutable ScratchPool pool;

  void encode_plain(std::string_view text, bool first, Scratch& scratch, std::vector<std::int32_t>& ids) const;
  void settle_ends();
  std::optional<std::string_view> token(std::int32_t id, bool skip_special) const;
};

// Between added tokens of the raw text: normalise, find the added tokens that are searched there, cut, encode.
void Tokenizer::State::encode_plain(std::string_view text, bool first, Scratch& scratch,
                                    std::vector<std::int32_t>& ids) const {
  // Only some pre-tokenizers ask what the beginning is.
  std::size_t beginning =
      first && parts.pre_tokenizer.asks_for_beginning() ? utf8_length(static_cast<unsigned char>(text[0])) : 0;
  const std::string_view normalized =
      parts.normalizer.apply(text, scratch.normalizer, beginning > 0 ? &beginning : nullptr);
  WordsToIds words(*parts.model, scratch.bpe, ids);
  parts.added.in_normalized_text.walk(
      normalized,
      [&](std::size_t begin, std::size_t end) {
        parts.pre_tokenizer.cut(normalized.substr(begin, end - begin), beginning_of_part(beginning, begin, end),
                                scratch.rooms, words);
      },
      [&](std::int32_t id) { ids.push_back(id); });
}

// What transformers rebuilds from tokenizer_config.json for its Llama and Gemma classes replaces the file's template.
void Tokenizer::State::settle_ends() {
  auto& before = parts.around.before;
  auto& behind = parts.around.behind;
  std::string overrides;
  if (ends.adds_bos && *ends.adds_bos != (ends.bos && before == std::vector{*ends.bos})) {
    before.clear();
    if (*ends.adds_bos) before = {*ends.bos};
    overrides += fmt::format(" add_bos_token={}", *ends.adds_bos ? *ends.bos : -1);
  }
  if (ends.adds_eos && *ends.adds_eos != (ends.eos && behind == std::vector{*ends.eos})) {
    behind.clear();
    if (*ends.adds_eos) behind = {*ends.eos};
    overrides += fmt::format(" add_eos_token={}", *ends.adds_eos ? *ends.eos : -1);
  }
  if (!ends.bos && !before.empty()) ends.bos = before.front();
  if (!ends.eos && !behind.empty()) ends.eos = behind.back();
  digest = sha384(json);
  if (!overrides.empty()) digest = sha384(digest + overrides);
}

std::optional<std::string_view> Tokenizer::State::token(std::int32_t id, bool skip_special) const {
  const auto added = parts.added.by_id.find(id);
  if (added != parts.added.by_id.end()) {
    // As in Hugging Face tokenizers it is the text that counts: a special token that is normalised to another text stays.
    if (skip_special && parts.added.special.contains(added->second.decoded)) return std::nullopt;
    return added->second.decoded;
  }
  if (!parts.model->vocabulary().has(id)) return std::nullopt;
  return parts.model->vocabulary().token(id);
}

Tokenizer Tokenizer::parse(std::string json, const std::string& name) {
  auto state = std::make_shared<State>();
  state->json = std::move(json);
  state->parts = tokenization::read_tokenizer(state->json, name);
  state->settle_ends();
  return Tokenizer(std::move(state));
}

Tokenizer Tokenizer::load(const Path& file_or_folder) {
  const bool folder = std::filesystem::is_directory(file_or_folder);
  const Path path = folder ? file_or_folder / "tokenizer.json" : file_or_folder;
  auto state = std::make_shared<State>();
  state->json = read_text(path);
  state->parts = tokenization::read_tokenizer(state->json, path.string());
  const Path config = file_or_folder / "tokenizer_config.json";
  if (folder && std::filesystem::exists(config))
    state->ends = tokenization::read_tokenizer_config(config, state->parts);
  state->settle_ends();
  return Tokenizer(std::move(state));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, Special special) const {
  if (text.size() > longest_text) {
    fail(Kind::data, "a text of {} bytes; one text may have at most {}: cut it into documents", text.size(),
         longest_text);
  }
  if (!simdjson::validate_utf8(text)) {
    fail(Kind::data, "the text is not UTF-8 at byte {}", first_invalid_utf8(text).value_or(0));
  }
  const State& state = *state_;
  const Lent scratch(state.pool);
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  if (special == Special::added) ids = state.parts.around.before;
  state.parts.added.in_raw_text.walk(
      text,
      [&](std::size_t begin, std::size_t end) {
        state.encode_plain(text.substr(begin, end - begin), begin == 0, *scratch, ids);
      },
      [&](std::int32_t id) { ids.push_back(id); });
  if (special == Special::added) {
    ids.insert(ids.end(), state.parts.around.behind.begin(), state.parts.around.behind.end());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  tokenization::Decoding decoding = state_->parts.decoder.begin();
  for (const std::int32_t id : ids) {
    if (const auto token = state_->token(id, skip_special)) decoding.take(*token);
  }
  decoding.finish();
  return decoding.text();
}

std::int64_t Tokenizer::vocabulary_size() const {
  return state_->parts.size();
}

std::optional<std::int32_t> Tokenizer::id_of(std::string_view token) const {
  return state_->parts.find(token);
}

std::string Tokenizer::token_of(std::int32_t id) const {
  const auto added = state_->parts.added.by_id.find(id);
  if (added != state_->parts.added.by_id.end()) return added->second.content;
  const auto token = state_->token(id, false);
  if (!token) fail(Kind::data, "no token has the id {}; the vocabulary has {} ids", id, vocabulary_size());
  return std::string(*token);
}

bool Tokenizer::is_special(std::int32_t id) const {
  const auto added = state_->parts.added.by_id.find(id);
  return added != state_->parts.added.by_id.end() && added->second.special;
}

bool Tokenizer::adds_bos() const {
  const auto& before = state_->parts.around.before;
  return !before.empty() && bos() == before.front();
}

bool Tokenizer::adds_eos() const {
  const auto& behind = state_->parts.around.behind;
  return !behind.empty() && eos() == behind.back();
}

std::optional<std::int32_t> Tokenizer::bos() const {
  return state_->ends.bos;
}
std::optional<std::int32_t> Tokenizer::eos() const {
  return state_->ends.eos;
}
const std::string& Tokenizer::digest() const {
  return state_->digest;
}
const std::string& Tokenizer::json() const {
  return state_->json;
}

struct StreamDecoder::State {
  std::shared_ptr<const Tokenizer::State> tokenizer;
  bool skip_special;
  tokenization::Decoding decoding;
};

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : state_(new State{tokenizer.state_, skip_special, tokenizer.state_->parts.decoder.begin()}) {}
StreamDecoder::~StreamDecoder() = default;
StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;

std::string StreamDecoder::push(std::int32_t id) {
  if (const auto token = state_->tokenizer->token(id, state_->skip_special)) state_->decoding.take(*token);
  return state_->decoding.text();
}

std::string StreamDecoder::finish() {
  state_->decoding.finish();
  return state_->decoding.text();
}

}  // namespace hearth

#include "data/tokenizer/bpe.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "data/tokenizer/alphabet.h"
#include "data/tokenizer/hash.h"

namespace hearth::tokenization {
namespace {

constexpr std::size_t cache_entries = 1U << 16;

/// 0 to 8 bytes as a little-endian number, without reading beyond them.
std::uint64_t short_load(const char* from, std::size_t bytes) {
  if (bytes >= 8) return load(from, 8);
  if (bytes >= 4) {
    return static_cast<std::uint64_t>(load4(from)) | static_cast<std::uint64_t>(load4(from + bytes - 4))
                                                         << (8 * (bytes - 4));
  }
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    word |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(from[i])) << (8 * i);
  }
  return word;
}

/// A word of 1 to 15 bytes with its length behind.
std::array<std::uint64_t, 2> padded(std::string_view word) {
  const char* from = word.data();
  const std::size_t bytes = word.size();
  const std::uint64_t length = static_cast<std::uint64_t>(bytes) << 56;
  if (bytes <= 8) return {short_load(from, bytes), length};
  return {load(from, 8), load(from + bytes - 8, 8) >> (8 * (16 - bytes)) | length};
}

}  // namespace

bool WordCache::find(std::string_view word, std::vector<std::int32_t>& ids) {
  if (entries_.empty()) entries_.resize(cache_entries);
  missed_ = padded(word);
  const std::uint64_t hash = mix(missed_[0], missed_[1]);
  place_ = hash & (cache_entries - 1);
  const Entry* entry = &entries_[place_];
  if (entry->word != missed_) {
    entry = &entries_[place_ ^ 1U];  // the other half of a pair of entries, in one line of the processor's cache
    if (entry->word != missed_) {
      const bool other_is_free = entries_[place_].word[1] != 0 && entry->word[1] == 0;
      if (other_is_free || hash >> 63 != 0) place_ ^= 1U;
      return false;
    }
  }
  for (std::size_t i = 0; i < most_ids && entry->ids[i] >= 0; ++i) ids.push_back(entry->ids[i]);
  return true;
}

void WordCache::keep(std::span<const std::int32_t> ids) {
  Entry& entry = entries_[place_];
  entry.word = missed_;
  entry.ids.fill(-1);
  std::copy(ids.begin(), ids.end(), entry.ids.begin());
}

Bpe::Bpe(const Json& model, Alphabet alphabet) : alphabet_(alphabet) {
  if (const auto type = model.find("type"); type && type->text() != "BPE") {
    type->refuse(fmt::format("{} models are not supported, only BPE", type->text()));
  }
  model.only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
              "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (const auto dropout = model.find("dropout"); dropout && dropout->number() != 0) {
    dropout->refuse("dropout is not supported: the same text must always give the same ids");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto affix = model.find(key); affix && !affix->text().empty()) affix->refuse("is not supported");
  }
  ignore_merges_ = model.flag_or("ignore_merges", false);
  fuse_unknown_ = model.flag_or("fuse_unk", false);
  read_vocabulary(model.at("vocab"));
  read_fallback(model);
  read_merges(model.at("merges"));
  read_characters();
}

void Bpe::read_vocabulary(const Json& vocab) {
  vocabulary_.reserve(vocab.fields());
  vocab.each([&](std::string_view token, simdjson::dom::element value) {
    std::int64_t id = -1;
    if (value.get(id) != simdjson::SUCCESS || id < 0 || id >= Vocabulary::most_ids) {
      vocab.refuse(
          fmt::format("the id of \"{}\" must be a whole number from 0 to {}", token, Vocabulary::most_ids - 1));
    }
    const auto added = vocabulary_.add(token, static_cast<std::int32_t>(id));
    longest_token_ = std::max(longest_token_, token.size());
    if (added == Vocabulary::Added::same_token) vocab.refuse(fmt::format("has \"{}\" twice", token));
    if (added == Vocabulary::Added::same_id) vocab.refuse(fmt::format("gives the id {} to two tokens", id));
  });
}

void Bpe::read_fallback(const Json& model) {
  fallback_ids_.fill(-1);
  every_character_known_ = model.flag_or("byte_fallback", false);
  const bool fallback = every_character_known_;
  for (unsigned byte = 0; byte < 256 && fallback; ++byte) {
    fallback_ids_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
    if (fallback_ids_[byte] < 0) every_character_known_ = false;
  }
  if (const auto unknown = model.find("unk_token")) {
    unknown_ = vocabulary_.find(unknown->text());
    if (!unknown_) unknown->refuse(fmt::format("\"{}\" is not in the vocabulary", unknown->text()));
  }
}

void Bpe::read_merges(const Json& merges) {
  const simdjson::dom::array rules = merges.array();
  merges_ = MergeTable(rules.size() >= 0xFFFFFF ? merges.items().size() : rules.size());  // size() saturates there
  std::uint32_t rank = 0;
  std::string joined;
  const auto id_in = [&](std::string_view token) {
    const auto id = vocabulary_.find(token);
    if (!id) merges.refuse(fmt::format("rule {} needs \"{}\", which is not in the vocabulary", rank, token));
    return *id;
  };
  for (const simdjson::dom::element rule : rules) {
    std::string_view left;
    std::string_view right;
    simdjson::dom::array pair;
    std::string_view line;
    if (rule.get(line) == simdjson::SUCCESS) {
      if (line.substr(0, 8) == "#version") continue;
      const std::size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
        merges.refuse(fmt::format("rule {} is \"{}\"; it must be two tokens and one space", rank, line));
      }
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else if (rule.get(pair) != simdjson::SUCCESS || pair.size() != 2 || pair.at(0).get(left) != simdjson::SUCCESS ||
               pair.at(1).get(right) != simdjson::SUCCESS) {
      merges.refuse(fmt::format("rule {} must be \"left right\" or [\"left\", \"right\"]", rank));
    }
    joined = left;
    joined += right;
    const std::int32_t a = id_in(left);
    const std::int32_t b = id_in(right);
    merges_.set(a, b, {rank++, id_in(joined)});
    add_seam(left, right);
    if (stands_in(left, a) || stands_in(right, b)) cut_at_seams_ = false;
  }
  seams_.finish();
}

/// Whether this token is one that stands in for a byte of unknown characters.
bool Bpe::stands_in(std::string_view token, std::int32_t id) const {
  return token.substr(0, 3) == "<0x" &&
         std::find(fallback_ids_.begin(), fallback_ids_.end(), id) != fallback_ids_.end();
}

// In a file of byte-level tokens a rule with another character in it can never apply.
void Bpe::add_seam(std::string_view left, std::string_view right) {
  if (alphabet_ == Alphabet::characters) return seams_.add_rule(left, right);
  const auto a = bytes_of_characters(left);
  const auto b = bytes_of_characters(right);
  if (a && b) seams_.add_rule(*a, *b);
}

void Bpe::read_characters() {
  pages_.assign(0x1100, 0);
  character_ids_.assign(256, -1);  // page 0: nothing
  all_bytes_known_ = true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string character;
    append_utf8(character, character_of_byte(static_cast<std::uint8_t>(byte)));
    byte_ids_[byte] = vocabulary_.find(character).value_or(-1);
    if (byte_ids_[byte] < 0) all_bytes_known_ = false;
  }
  for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (!vocabulary_.has(id)) continue;
    const std::string_view token = vocabulary_.token(id);
    if (token.empty() || utf8_length(static_cast<unsigned char>(token[0])) != token.size()) continue;
    std::size_t at = 0;
    const std::uint32_t character = next_utf8(token, at);
    std::uint32_t& page = pages_[character >> 8];
    if (page == 0) {
      page = static_cast<std::uint32_t>(character_ids_.size() >> 8);
      character_ids_.resize(character_ids_.size() + 256, -1);
    }
    character_ids_[page * 256 + (character & 0xFFU)] = id;
  }
}

std::int32_t Bpe::id_of_character(std::uint32_t character) const {
  return character_ids_[pages_[character >> 8] * 256 + (character & 0xFFU)];
}

// Words of other scripts are rarely met twice whole, but their pieces are; so only these are kept.
void Bpe::encode(std::string_view word, BpeScratch& scratch, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  const bool latin = static_cast<std::uint8_t>(word[0]) < 0x80;
  if (word.size() > WordCache::longest_word || !(latin || ignore_merges_)) return encode_long(word, scratch, ids);
  if (scratch.words.find(word, ids)) return;
  const std::size_t before = ids.size();
  encode_long(word, scratch, ids);
  const auto own = std::span<const std::int32_t>(ids).subspan(before);
  if (own.size() <= WordCache::most_ids) scratch.words.keep(own);
}

void Bpe::encode_long(std::string_view word, BpeScratch& scratch, std::vector<std::int32_t>& ids) const {
  if (ignore_merges_ && word.size() <= longest_token_) {
    std::string_view token = word;
    if (alphabet_ == Alphabet::bytes) {
      scratch.characters.clear();
      append_as_characters(word, scratch.characters);
      token = scratch.characters;
    }
    if (const auto id = vocabulary_.find(token)) {
      ids.push_back(*id);
      return;
    }
  }
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t end = piece_end(word, at);
    encode_cached(word.substr(at, end - at), scratch, ids);
    at = end;
  }
}

// Beside a character that the vocabulary does not know nothing is cut: unknown characters may fuse or vanish.
std::size_t Bpe::piece_end(std::string_view word, std::size_t at) const {
  if (!cut_at_seams_) return word.size();
  if (alphabet_ == Alphabet::bytes) return all_bytes_known_ ? seams_.next(word, at) : word.size();
  std::size_t end = seams_.next(word, at);
  if (every_character_known_) return end;
  const auto known = [&](std::size_t from) { return id_of_character(next_utf8(word, from)) >= 0; };
  while (end < word.size()) {
    std::size_t before = end - 1;
    while ((static_cast<std::uint8_t>(word[before]) & 0xC0U) == 0x80U) --before;
    if (known(before) && known(end)) break;
    end = seams_.next(word, end);
  }
  return end;
}

void Bpe::encode_cached(std::string_view piece, BpeScratch& scratch, std::vector<std::int32_t>& ids) const {
  if (piece.size() > WordCache::longest_word) return encode_piece(piece, scratch, ids);
  if (scratch.pieces.find(piece, ids)) return;
  const std::size_t before = ids.size();
  encode_piece(piece, scratch, ids);
  const auto own = std::span<const std::int32_t>(ids).subspan(before);
  if (own.size() <= WordCache::most_ids) scratch.pieces.keep(own);
}

void Bpe::encode_piece(std::string_view piece, BpeScratch& scratch, std::vector<std::int32_t>& ids) const {
  scratch.symbols.clear();
  symbols_of(piece, scratch);
  scratch.merging.apply(merges_, scratch.symbols);
  ids.insert(ids.end(), scratch.symbols.begin(), scratch.symbols.end());
}

void Bpe::symbols_of(std::string_view piece, BpeScratch& scratch) const {
  if (alphabet_ == Alphabet::characters) return symbols_of_characters(piece, scratch.symbols);
  if (all_bytes_known_) {
    for (const char byte : piece) scratch.symbols.push_back(byte_ids_[static_cast<std::uint8_t>(byte)]);
    return;
  }
  scratch.characters.clear();
  append_as_characters(piece, scratch.characters);
  symbols_of_characters(scratch.characters, scratch.symbols);
}

// The order of Hugging Face tokenizers, kept to the letter: an unknown character waits for the next known one, while
// bytes that stand in for a character do not wait for it.
void Bpe::symbols_of_characters(std::string_view text, std::vector<std::int32_t>& symbols) const {
  bool waiting = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const std::int32_t id = id_of_character(next_utf8(text, at));
    if (id >= 0) {
      if (waiting) symbols.push_back(*unknown_);
      waiting = false;
      symbols.push_back(id);
      continue;
    }
    const std::string_view bytes = text.substr(begin, at - begin);
    const auto fallback = [&](char byte) { return fallback_ids_[static_cast<std::uint8_t>(byte)]; };
    if (std::all_of(bytes.begin(), bytes.end(), [&](char byte) { return fallback(byte) >= 0; })) {
      for (const char byte : bytes) symbols.push_back(fallback(byte));
    } else if (unknown_) {
      if (waiting && !fuse_unknown_) symbols.push_back(*unknown_);
      waiting = true;
    }
  }
  if (waiting) symbols.push_back(*unknown_);
}

}  // namespace hearth::tokenization

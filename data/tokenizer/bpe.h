// Byte-pair encoding of words.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/json.h"
#include "data/tokenizer/merges.h"
#include "data/tokenizer/seams.h"
#include "data/tokenizer/vocabulary.h"

namespace hearth::tokenization {

/// What the symbols of a word are before any merge.
enum class Alphabet { characters, bytes };  // bytes: each written in the vocabulary as GPT-2's character for it

/// The ids of short words met before: a fixed table in which a newer word takes an older one's place.
class WordCache {
 public:
  static constexpr std::size_t longest_word = 15;  // bytes
  static constexpr std::size_t most_ids = 4;

  /// Appends the ids of a word that is here. REQUIRES: 1 to longest_word bytes.
  bool find(std::string_view word, std::vector<std::int32_t>& ids);
  /// Keeps the ids, at most most_ids, of the word that find() did not find just before.
  void keep(std::span<const std::int32_t> ids);

 private:
  struct Entry {
    std::array<std::uint64_t, 2> word{};       // padded with zeros; the last byte is the length, 0 in an empty entry
    std::array<std::int32_t, most_ids> ids{};  // -1 behind the last
  };

  std::vector<Entry> entries_;
  std::array<std::uint64_t, 2> missed_{};
  std::size_t place_ = 0;
};

/// What one thread needs to encode; kept between calls so that its caches stay warm.
struct BpeScratch {
  WordCache words;
  WordCache pieces;  // parts of words, for which ignore_merges does not hold
  MergeScratch merging;
  std::vector<std::int32_t> symbols;
  std::string characters;
};

/// The model of a tokenizer file. Immutable.
class Bpe {
 public:
  /// Reads "model". Throws Kind::data for what is malformed or not understood.
  Bpe(const Json& model, Alphabet alphabet);

  const Vocabulary& vocabulary() const { return vocabulary_; }
  /// Appends the ids of one word (valid UTF-8; what stands between two cuts of the pre-tokenizer).
  void encode(std::string_view word, BpeScratch& scratch, std::vector<std::int32_t>& ids) const;

 private:
  void read_vocabulary(const Json& vocab);
  void read_merges(const Json& merges);
  void read_fallback(const Json& model);
  void read_characters();
  bool stands_in(std::string_view token, std::int32_t id) const;
  void add_seam(std::string_view left, std::string_view right);
  std::int32_t id_of_character(std::uint32_t character) const;
  void encode_long(std::string_view word, BpeScratch& scratch, std::vector<std::int32_t>& ids) const;
  void encode_piece(std::string_view piece, BpeScratch& scratch, std::vector<std::int32_t>& ids) const;
  void encode_cached(std::string_view word, BpeScratch& scratch, std::vector<std::int32_t>& ids) const;
  void symbols_of(std::string_view piece, BpeScratch& scratch) const;
  void symbols_of_characters(std::string_view text, std::vector<std::int32_t>& symbols) const;
  std::size_t piece_end(std::string_view word, std::size_t at) const;

  Alphabet alphabet_;
  Vocabulary vocabulary_;
  MergeTable merges_{0};
  Seams seams_;
  std::size_t longest_token_ = 0;  // bytes of the vocabulary's longest, as the file writes it
  bool cut_at_seams_ = true;
  bool every_character_known_ = false;  // by the vocabulary or by its bytes
  bool ignore_merges_ = false;
  bool fuse_unknown_ = false;
  std::optional<std::int32_t> unknown_;
  std::array<std::int32_t, 256> byte_ids_{};  // Alphabet::bytes: of each byte's character, -1 = none
  bool all_bytes_known_ = false;
  std::array<std::int32_t, 256> fallback_ids_{};  // of "<0xHH>", -1 = none or no byte fallback
  std::vector<std::uint32_t> pages_;              // character / 256 -> page of character_ids_
  std::vector<std::int32_t> character_ids_;       // -1 = not in the vocabulary
};

}  // namespace hearth::tokenization

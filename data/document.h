// From a row to what the model sees: token ids, and which of them are trained.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/encoder.h"
#include "data/row.h"

namespace hearth {

enum class DataStage { pt, sft };

struct DocumentRules {
  DataStage stage = DataStage::pt;
  bool train_prompt = false;  // prompts are trained like completions
};

/// One training item. The label of a token says what a model that has read the tokens before it should predict in its
/// place: labels are not shifted, and the first one is never used.
struct Document {
  std::vector<std::int32_t> tokens;
  std::int64_t trained_from = 0;     // tokens from here on are their own labels, those before have none; or, when
  std::vector<std::int32_t> labels;  // this is not empty, one label a token, -1 = none
};

/// text:              begin (if the tokenizer puts one) + ids + end; every token is trained.
/// prompt/completion: begin + prompt + completion + end, the two texts tokenised apart; completion and end are trained,
///                    and the prompt where the rules say so.
/// tokens:            as they are, -100 becoming -1; in sft a row must bring its own begin and a trained end, as far as
///                    the encoder (null where there is no tokenizer) knows of them.
/// Fills `document`, or says why the row cannot be one. REQUIRES: an encoder unless the format is tokens.
std::optional<Complaint> make_document(const RawRow& row, const Encoder* encoder, const DocumentRules& rules,
                                       Document& document);

/// How many tokens of a document are trained: its labels but the first.
std::int64_t trained_tokens(const Document& document);

}  // namespace hearth

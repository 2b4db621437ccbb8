// Hand-written equals of the expressions by which most models cut words. The tests hold them against the expressions.
#pragma once

#include <memory>
#include <string_view>

#include "data/tokenizer/pre_tokenizer.h"

namespace hearth::tokenization {

/// A step that cuts exactly as `pattern` with Behavior::isolated does; null when no scanner knows the pattern.
std::unique_ptr<PreTokenizerStep> scanner_for(std::string_view pattern);

}  // namespace hearth::tokenization

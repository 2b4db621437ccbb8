// The table of loops for the instruction set that the including file is compiled for.
#pragma once

#include "kernels/cpu/isa/attention.h"
#include "kernels/cpu/isa/attention_backward.h"
#include "kernels/cpu/isa/elementwise.h"
#include "kernels/cpu/isa/rows.h"

namespace {

constexpr hearth::cpu::Loops loops = {
    .cast = {{cast<float, float>, cast<float, Word>}, {cast<Word, float>, cast<Word, Word>}},
    .add = {{add<float, float>, add<float, Word>}, {add<Word, float>, add<Word, Word>}},
    .sum = {sum<float>, sum<Word>},
    .scale = {scale<float>, scale<Word>},
    .blend = blend,
    .swiglu = {swiglu<float>, swiglu<Word>},
    .swiglu_backward = {swiglu_backward<float>, swiglu_backward<Word>},
    .adamw = adamw,
    .squares = squares,
    .store_tile = {store_tile<float>, store_tile<Word>},
    .column_sums = {column_sums<float>, column_sums<Word>},
    .rms_norm = {rms_norm<float>, rms_norm<Word>},
    .rms_norm_backward = {rms_norm_backward<float>, rms_norm_backward<Word>},
    .rotate = {rotate<float>, rotate<Word>},
    .head_statistics = {head_statistics<float>, head_statistics<Word>},
    .head_backward = {{head_backward<float, float>, head_backward<float, Word>},
                      {head_backward<Word, float>, head_backward<Word, Word>}},
    .dots = {dots<float>, dots<Word>},
    .attention_rows = attention_rows,
    .attention_floats = attention_floats,
    .attention = attention,
    .attention_backward_floats = attention_backward_floats,
    .attention_backward = attention_backward,
    .attention_width = attention_width,
    .attention_keys = attention_keys,
};

}  // namespace

#include "data/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "base/error.h"
#include "base/utf8.h"

namespace hearth::tokenization {
namespace {

constexpr std::size_t longest_pattern = 16384;
// One match of a sound expression needs a few steps a byte; this bounds what one match may cost on hostile text.
constexpr std::uint32_t most_steps = 100'000'000;
constexpr std::size_t jit_stack_start = std::size_t{32} << 10;
constexpr std::size_t jit_stack_most = std::size_t{16} << 20;

template <class T, void (*destroy)(T*)>
struct Destroy {
  void operator()(T* pointer) const { destroy(pointer); }
};
template <class T, void (*destroy)(T*)>
using Handle = std::unique_ptr<T, Destroy<T, destroy>>;

std::string message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct Regex::Code {
  Handle<pcre2_code, pcre2_code_free> code;
  std::string place;
  std::string pattern;
};

struct Matcher::State {
  Handle<pcre2_match_data, pcre2_match_data_free> data;
  Handle<pcre2_match_context, pcre2_match_context_free> context;
  Handle<pcre2_jit_stack, pcre2_jit_stack_free> stack;
};

Regex::Regex(std::string_view pattern, const std::string& place) : code_(std::make_unique<Code>()) {
  if (pattern.size() > longest_pattern) {
    fail(Kind::data, "{}: an expression of {} bytes; at most {} are read", place, pattern.size(), longest_pattern);
  }
  const std::string text = pcre2_pattern(pattern, place);
  const Handle<pcre2_compile_context, pcre2_compile_context_free> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                                  context.get()));
  if (!code_->code) fail(Kind::data, "{}: the expression {} is refused: {}", place, pattern, message(error));
  // Without JIT (a machine that forbids it) the interpreter does the same, more slowly.
  pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE);
  code_->place = place;
  code_->pattern = pattern;
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

bool Regex::can_match_nothing() const {
  std::uint32_t can = 1;
  pcre2_pattern_info(code_->code.get(), PCRE2_INFO_MATCHEMPTY, &can);
  return can != 0;
}

Regex Regex::literal(std::string_view text, const std::string& place) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$#&-~").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return Regex(pattern, place);
}

Matcher::Matcher(const Regex& regex) : state_(std::make_unique<State>()), regex_(&regex) {
  state_->data.reset(pcre2_match_data_create_from_pattern(regex.code_->code.get(), nullptr));
  state_->context.reset(pcre2_match_context_create(nullptr));
  state_->stack.reset(pcre2_jit_stack_create(jit_stack_start, jit_stack_most, nullptr));
  if (!state_->data || !state_->context) fail(Kind::machine, "no memory to match an expression");
  pcre2_set_match_limit(state_->context.get(), most_steps);
  if (state_->stack) pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
}

Matcher::~Matcher() = default;
Matcher::Matcher(Matcher&&) noexcept = default;
Matcher& Matcher::operator=(Matcher&&) noexcept = default;

bool Matcher::find(std::string_view text, std::size_t from) {
  const int found = pcre2_match(regex_->code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                PCRE2_NO_UTF_CHECK, state_->data.get(), state_->context.get());
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    fail(Kind::data, "{}: the expression {} fails on a text of {} bytes from byte {}: {}", regex_->code_->place,
         regex_->code_->pattern, text.size(), from, message(found));
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state_->data.get());
  if (ends[1] < ends[0] || ends[0] < from) {
    fail(Kind::data, "{}: the expression {} ends before it begins", regex_->code_->place, regex_->code_->pattern);
  }
  begin_ = ends[0];
  end_ = ends[1];
  return true;
}

bool Matcher::find_next(std::string_view text) {
  const std::size_t last = end_;
  if (!find(text, last)) return false;
  if (begin_ != end_ || end_ != last) return true;
  if (last >= text.size()) return false;
  return find(text, last + utf8_length(static_cast<unsigned char>(text[last])));
}

}  // namespace hearth::tokenization

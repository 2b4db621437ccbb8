#include "data/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "data/tokenizer/alphabet.h"
#include "data/tokenizer/scanners.h"

namespace hearth::tokenization {
namespace {

using Span = StepRoom::Span;

/// Joins the spans of matches and of what lies between them as a behaviour says; each span that remains is a piece, but
/// those marked `match` under Behavior::removed are dropped.
void join(std::vector<Span>& spans, Behavior behavior) {
  if (behavior == Behavior::isolated || behavior == Behavior::removed) return;
  const bool backward = behavior == Behavior::merged_with_next;
  if (backward) std::reverse(spans.begin(), spans.end());
  std::size_t kept = 0;
  bool previous = false;
  for (const Span span : spans) {
    const bool joins = behavior == Behavior::contiguous ? span.match == previous : span.match && !previous;
    if (joins && kept > 0) {
      spans[kept - 1].begin = std::min(spans[kept - 1].begin, span.begin);
      spans[kept - 1].end = std::max(spans[kept - 1].end, span.end);
    } else {
      spans[kept++] = span;
    }
    previous = span.match;
  }
  spans.resize(kept);
  if (backward) std::reverse(spans.begin(), spans.end());
}

class Split final : public PreTokenizerStep {
 public:
  Split(Regex regex, Behavior behavior, bool invert) : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}

  void cut(std::string_view piece, std::size_t beginning, StepRoom& room, PieceSink& next) const override {
    if (!room.matcher) room.matcher = std::make_unique<Matcher>(regex_);
    if (behavior_ == Behavior::isolated) return isolate(piece, beginning, *room.matcher, next);
    find_all(piece, room);
    join(room.spans, behavior_);
    for (const Span span : room.spans) {
      const bool dropped = span.begin == span.end || (behavior_ == Behavior::removed && span.match);
      if (dropped) continue;
      next.take(piece.substr(span.begin, span.end - span.begin), beginning_of_part(beginning, span.begin, span.end));
    }
  }

 private:
  static void isolate(std::string_view piece, std::size_t beginning, Matcher& matcher, PieceSink& next) {
    std::size_t at = 0;
    const auto hand_on = [&](std::size_t end) {
      if (end > at) next.take(piece.substr(at, end - at), beginning_of_part(beginning, at, end));
      at = end;
    };
    for (bool found = matcher.find(piece, 0); found; found = matcher.find_next(piece)) {
      hand_on(matcher.begin());
      hand_on(matcher.end());
    }
    hand_on(piece.size());
  }

  void find_all(std::string_view piece, StepRoom& room) const {
    Matcher& matcher = *room.matcher;
    room.spans.clear();
    std::size_t at = 0;
    for (bool found = matcher.find(piece, 0); found; found = matcher.find_next(piece)) {
      if (matcher.begin() > at) room.spans.push_back({at, matcher.begin(), invert_});
      room.spans.push_back({matcher.begin(), matcher.end(), !invert_});
      at = matcher.end();
    }
    if (at < piece.size()) room.spans.push_back({at, piece.size(), invert_});
  }

  Regex regex_;
  Behavior behavior_;
  bool invert_;
};

class PrefixSpace final : public PreTokenizerStep {
 public:
  void cut(std::string_view piece, std::size_t beginning, StepRoom& room, PieceSink& next) const override {
    if (piece.empty()) return;
    if (piece.front() == ' ') return next.take(piece, beginning);
    room.text = " ";
    room.text += piece;
    next.take(room.text, beginning == 0 ? 0 : beginning + 1);
  }
};

class BytesAsCharacters final : public PreTokenizerStep {
 public:
  void cut(std::string_view piece, std::size_t beginning, StepRoom& room, PieceSink& next) const override {
    room.text.clear();
    append_as_characters(piece.substr(0, beginning), room.text);
    const std::size_t written = room.text.size();
    append_as_characters(piece.substr(beginning), room.text);
    next.take(room.text, written);
  }
};

enum class PrependScheme { always, first, never };

class Metaspace final : public PreTokenizerStep {
 public:
  Metaspace(std::string_view mark, PrependScheme scheme, bool split) : mark_(mark), scheme_(scheme), split_(split) {}

  void cut(std::string_view piece, std::size_t beginning, StepRoom& room, PieceSink& next) const override {
    if (piece.empty()) return;
    room.text.clear();
    const bool marked = piece.front() == ' ' || piece.substr(0, mark_.size()) == mark_;
    const bool wanted = scheme_ == PrependScheme::always || (scheme_ == PrependScheme::first && beginning > 0);
    if (!marked && wanted) room.text = mark_;
    append_marked(piece.substr(0, beginning), room.text);
    const std::size_t written = beginning == 0 ? 0 : room.text.size();
    append_marked(piece.substr(beginning), room.text);
    if (!split_) return next.take(room.text, written);
    const std::string_view text = room.text;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find(mark_, at + 1), text.size());
      next.take(text.substr(at, end - at), beginning_of_part(written, at, end));
      at = end;
    }
  }

  bool asks_for_beginning() const { return scheme_ == PrependScheme::first; }

 private:
  void append_marked(std::string_view piece, std::string& text) const {
    for (const char c : piece) {
      if (c == ' ') {
        text += mark_;
      } else {
        text += c;
      }
    }
  }

  std::string mark_;
  PrependScheme scheme_;
  bool split_;
};

Behavior behavior_of(const Json& name) {
  const std::string_view text = name.text();
  if (text == "Removed") return Behavior::removed;
  if (text == "Isolated") return Behavior::isolated;
  if (text == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (text == "MergedWithNext") return Behavior::merged_with_next;
  if (text == "Contiguous") return Behavior::contiguous;
  name.refuse(fmt::format("the behavior {} is not known", text));
}

std::unique_ptr<PreTokenizerStep> split(const Json& description, Scanning scanning) {
  description.only({"type", "pattern", "behavior", "invert"});
  const Json pattern = description.at("pattern");
  pattern.only({"String", "Regex"});
  const Behavior behavior = behavior_of(description.at("behavior"));
  const bool invert = description.flag_or("invert", false);
  if (const auto regex = pattern.find("Regex")) {
    return split_step(regex->text(), behavior, invert, regex->place(), scanning);
  }
  const std::string_view text = pattern.text_at("String");
  if (text.empty()) pattern.refuse("nothing can be cut at an empty text");
  return std::make_unique<Split>(Regex::literal(text, pattern.place()), behavior, invert);
}

std::unique_ptr<Metaspace> metaspace(const Json& description) {
  description.only({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
  const std::string_view mark = description.text_at("replacement");
  if (mark.empty() || utf8_length(static_cast<unsigned char>(mark[0])) != mark.size()) {
    description.refuse("\"replacement\" must be one character");
  }
  const bool prefix = description.flag_or("add_prefix_space", true);
  PrependScheme scheme = prefix ? PrependScheme::always : PrependScheme::never;
  if (const auto name = description.find("prepend_scheme")) {
    const std::string_view text = name->text();
    if (text != "always" && text != "first" && text != "never") name->refuse(fmt::format("{} is not known", text));
    if (!prefix && text != "never") name->refuse("contradicts add_prefix_space, which is false");
    scheme = text == "always" ? PrependScheme::always : text == "first" ? PrependScheme::first : PrependScheme::never;
  }
  return std::make_unique<Metaspace>(mark, scheme, description.flag_or("split", true));
}

}  // namespace

std::string_view gpt2_pattern() {
  return "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
}

std::unique_ptr<PreTokenizerStep> split_step(std::string_view pattern, Behavior behavior, bool invert,
                                             const std::string& place, Scanning scanning) {
  if (scanning == Scanning::by_hand && behavior == Behavior::isolated) {
    if (auto scanner = scanner_for(pattern)) return scanner;
  }
  return std::make_unique<Split>(Regex(pattern, place), behavior, invert);
}

PreTokenizer::PreTokenizer(const Json& description, Scanning scanning) {
  add(description, scanning, true);
}

void PreTokenizer::add(const Json& description, Scanning scanning, bool last) {
  const std::string_view type = description.text_at("type");
  const std::string& place = description.place();
  const auto cut_at = [&](std::string_view pattern, Behavior behavior) {
    steps_.push_back(std::make_unique<Split>(Regex(pattern, place), behavior, false));
  };
  if (type == "Sequence") {
    description.only({"type", "pretokenizers"});
    const std::vector<Json> steps = description.at("pretokenizers").items();
    for (const Json& step : steps) add(step, scanning, last && &step == &steps.back());
  } else if (type == "Split") {
    steps_.push_back(split(description, scanning));
  } else if (type == "ByteLevel") {
    add_byte_level(description, scanning, last);
  } else if (type == "Metaspace") {
    auto step = metaspace(description);
    asks_for_beginning_ = asks_for_beginning_ || step->asks_for_beginning();
    steps_.push_back(std::move(step));
  } else if (type == "Digits") {
    description.only({"type", "individual_digits"});
    const bool single = description.flag_or("individual_digits", false);
    cut_at("\\p{N}", single ? Behavior::isolated : Behavior::contiguous);
  } else if (type == "Punctuation") {
    description.only({"type", "behavior"});
    const auto behavior = description.find("behavior");
    cut_at("[\\p{P}$+<=>^`|~]", behavior ? behavior_of(*behavior) : Behavior::isolated);
  } else if (type == "Whitespace") {
    description.only({"type"});
    steps_.push_back(std::make_unique<Split>(Regex("[\\w\\x{200C}\\x{200D}]+|[^\\w\\x{200C}\\x{200D}\\s]+", place),
                                             Behavior::removed, true));
  } else if (type == "WhitespaceSplit") {
    description.only({"type"});
    cut_at("\\s", Behavior::removed);
  } else {
    description.refuse(fmt::format("the pre-tokenizer {} is not supported", type));
  }
}

void PreTokenizer::add_byte_level(const Json& description, Scanning scanning, bool last) {
  description.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (description.flag_or("add_prefix_space", true)) steps_.push_back(std::make_unique<PrefixSpace>());
  if (description.flag_or("use_regex", true)) {
    steps_.push_back(split_step(gpt2_pattern(), Behavior::isolated, false, description.place(), scanning));
  }
  if (last) {
    bytes_ = true;
  } else {
    steps_.push_back(std::make_unique<BytesAsCharacters>());
  }
}

void PreTokenizer::cut(std::string_view text, std::size_t beginning, std::vector<StepRoom>& rooms,
                       PieceSink& words) const {
  if (rooms.size() != steps_.size()) rooms.resize(steps_.size());
  cut_from(0, text, beginning, rooms, words);
}

void PreTokenizer::cut_from(std::size_t step, std::string_view text, std::size_t beginning,
                            std::vector<StepRoom>& rooms, PieceSink& words) const {
  class Next final : public PieceSink {
   public:
    Next(const PreTokenizer& owner, std::size_t next, std::vector<StepRoom>& all_rooms, PieceSink& sink)
        : owner_(owner), step_(next), rooms_(all_rooms), words_(sink) {}
    void take(std::string_view piece, std::size_t of_beginning) override {
      owner_.cut_from(step_, piece, of_beginning, rooms_, words_);
    }

   private:
    const PreTokenizer& owner_;
    std::size_t step_;
    std::vector<StepRoom>& rooms_;
    PieceSink& words_;
  };
  if (step == steps_.size()) {
    if (!text.empty()) words.take(text, beginning);
    return;
  }
  if (step + 1 == steps_.size()) return steps_[step]->cut(text, beginning, rooms[step], words);
  Next next(*this, step + 1, rooms, words);
  steps_[step]->cut(text, beginning, rooms[step], next);
}

}  // namespace hearth::tokenization

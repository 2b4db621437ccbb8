// tokenize MODEL_DIR|tokenizer.json --input F --output G: token ids of a file.
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "data/row.h"
#include "data/tokenizer/tokenizer.h"
#include "launch/options.h"

namespace hearth {

namespace {

namespace po = boost::program_options;

struct Spent {
  std::size_t tokens = 0;
  std::size_t bytes = 0;
  double seconds = 0;  // in the tokenizer alone
};

std::vector<std::int32_t> timed(const Tokenizer& tokenizer, std::string_view text, Special special, Spent& spent) {
  const auto began = std::chrono::steady_clock::now();
  auto ids = tokenizer.encode(text, special);
  spent.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  spent.tokens += ids.size();
  spent.bytes += text.size();
  return ids;
}

/// The same words as `prepare` has for it. `text` begins at that line and byte of the file.
void refuse_not_utf8(const Path& from, std::string_view text, std::uint64_t line, std::uint64_t offset) {
  const auto complaint = utf8_complaint(text, line, offset);
  if (complaint) fail(Kind::data, "{}: {}: {}", from.string(), complaint->reason, complaint->detail);
}

void rows(const Tokenizer& tokenizer, const Path& from, Special special, OutFile& out, Spent& spent) {
  const std::string all = read_text(from);
  std::size_t number = 0;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\n', at), all.size());
    const std::string_view line(all.data() + at, end - at);
    ++number;
    refuse_not_utf8(from, line, number, at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains("text") || !row["text"].is_string()) {
      fail(Kind::data, "{} line {}: no object with \"text\"", from.string(), number);
    }
    const auto ids = timed(tokenizer, row["text"].get_ref<const std::string&>(), special, spent);
    nlohmann::ordered_json result;
    result["ids"] = ids;
    result["decoded"] = tokenizer.decode(ids, false);
    out.write(result.dump() + "\n");
  }
}

void whole(const Tokenizer& tokenizer, const Path& from, Special special, OutFile& out, Spent& spent) {
  const std::string text = read_text(from);
  refuse_not_utf8(from, text, 1, 0);
  const auto ids = timed(tokenizer, text, special, spent);
  out.write(ids.data(),
            ids.size() * sizeof(std::int32_t));  // ids are not negative: the same bytes as u32, little-endian
}

}  // namespace

int verb_tokenize(const Words& words, Environment&) {
  Options options("tokenize MODEL_DIR|tokenizer.json --input FILE --output FILE [--special]",
                  "A .jsonl of {\"text\"} becomes rows of {\"ids\", \"decoded\"}; any other file is one text and "
                  "becomes little-endian u32\n"
                  "ids. Prints the number of tokens and the speed.",
                  {"TOKENIZER"});
  options.add()("input,i", po::value<std::string>(), "the file to read")("output,o", po::value<std::string>(),
                                                                         "the file to write")(
      "special", "put what the tokenizer puts before and behind a text (begin of text, ...)");
  if (!options.parse(words)) return 0;
  for (const char* name : {"input", "output"}) {
    if (!options.has(name)) fail(Kind::usage, "tokenize needs --{} FILE", name);
  }
  const std::string output = options.output("output", {options.text("input"), options.text("TOKENIZER")});
  const Tokenizer tokenizer = Tokenizer::load(options.text("TOKENIZER"));
  const Special special = options.has("special") ? Special::added : Special::none;
  const Path input = options.text("input");
  Spent spent;
  OutFile out(output);
  if (input.extension() == ".jsonl") {
    rows(tokenizer, input, special, out, spent);
  } else {
    whole(tokenizer, input, special, out, spent);
  }
  out.commit();
  fmt::print("{} tokens, {} bytes, {:.2f} MB/s\n", spent.tokens, spent.bytes,
             static_cast<double>(spent.bytes) / 1e6 / std::max(1e-9, spent.seconds));
  return 0;
}

}  // namespace hearth

// generate MODEL_OR_RUN: continues a text.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "launch/loaded_model.h"
#include "launch/options.h"
#include "model/decode.h"

namespace hearth {

namespace {

namespace po = boost::program_options;

struct Request {
  std::vector<std::int32_t> prompt;
  std::int64_t most = 64;
  Sampling sampling;
  bool json = false;
};

std::vector<std::int32_t> ids_of(const std::string& text, std::int64_t vocabulary) {
  std::vector<std::int32_t> ids;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, end - at);
    char* rest = nullptr;
    const long id = std::strtol(word.c_str(), &rest, 10);
    if (word.empty() || *rest != '\0' || id < 0 || id >= vocabulary) {
      fail(Kind::usage, "--ids: `{}` is no token id of this model (0 to {})", word, vocabulary - 1);
    }
    ids.push_back(static_cast<std::int32_t>(id));
    at = end + 1;
  }
  return ids;
}

/// What needs no model to be refused.
Request asked_of(const Options& options) {
  Request request;
  request.most = options.as<std::int64_t>("max-new-tokens");
  request.sampling = {options.as<double>("temperature"), options.as<std::int64_t>("top-k"), options.as<double>("top-p"),
                      static_cast<std::uint64_t>(options.as<std::int64_t>("seed"))};
  request.json = options.has("json");
  if (request.most < 1) fail(Kind::usage, "--max-new-tokens {}: at least 1", request.most);
  if (!(request.sampling.temperature >= 0))
    fail(Kind::usage, "--temperature {}: 0 or more", request.sampling.temperature);
  if (options.as<std::int64_t>("seed") < 0) {
    fail(Kind::usage, "--seed {}: 0 or more", options.as<std::int64_t>("seed"));
  }
  if (request.sampling.top_k < 0) fail(Kind::usage, "--top-k {}: 0 (all) or more", request.sampling.top_k);
  if (!(request.sampling.top_p > 0 && request.sampling.top_p <= 1)) {
    fail(Kind::usage, "--top-p {}: above 0, at most 1", request.sampling.top_p);
  }
  for (const char* name : {"top-k", "top-p", "seed"}) {
    if (options.given(name) && request.sampling.temperature == 0) {
      fail(Kind::usage,
           "--{} shapes a draw, and without a --temperature above 0 nothing is drawn: add --temperature 1, or leave it "
           "out",
           name);
    }
  }
  if (options.has("prompt") == options.has("ids"))
    fail(Kind::usage, "generate needs one of --prompt TEXT and --ids 1,2,3");
  return request;
}

/// Fills the prompt, in the model's tokens, and fits what is to come into the room behind it.
void place_prompt(const Options& options, const OpenedModel& model, Request& request) {
  if (options.has("ids")) {
    request.prompt = ids_of(options.text("ids"), model.config().vocabulary);
  } else {
    const std::string text = options.text("prompt");
    if (first_invalid_utf8(text)) fail(Kind::usage, "--prompt is not UTF-8");
    request.prompt = tokenizer_of(model).encode(text, Special::added);
    if (request.prompt.empty()) fail(Kind::usage, "--prompt has no tokens: this model needs at least one");
  }
  const auto room = model.config().max_positions - static_cast<std::int64_t>(request.prompt.size());
  if (room < 1) {
    fail(Kind::usage, "the prompt has {} tokens and the model reads at most {}", request.prompt.size(),
         model.config().max_positions);
  }
  if (room < request.most && options.given("max-new-tokens")) {
    fmt::print(stderr, "note: this model reads at most {} tokens and the prompt has {}: at most {} follow\n",
               model.config().max_positions, request.prompt.size(), room);
  }
  request.most = std::min(request.most, room);
}

/// Generates and streams; the ids that were generated, without the one that ended the text.
std::vector<std::int32_t> run(LoadedModel& model, const Request& request, bool& ended) {
  const auto& tokenizer = model.opened.tokenizer();
  std::optional<StreamDecoder> text;
  if (tokenizer && !request.json) text.emplace(*tokenizer, true);
  const std::int64_t capacity = static_cast<std::int64_t>(request.prompt.size()) + request.most;
  Decoder decoder(model.transformer, model.on.groups, model.backend->ops(), model.backend->memory(), model.compute,
                  capacity);
  auto logits = decoder.append(request.prompt);
  std::vector<std::int32_t> ids;
  const auto& ends = model.opened.end_tokens();
  while (true) {
    const std::int32_t id = sample(logits, request.sampling, ids.size());
    ended = std::find(ends.begin(), ends.end(), id) != ends.end();
    if (ended) break;
    ids.push_back(id);
    if (text) {
      std::fputs(text->push(id).c_str(), stdout);
      std::fflush(stdout);
    } else if (!request.json) {
      fmt::print("{}{}", ids.size() == 1 ? "" : ",", id);
    }
    if (static_cast<std::int64_t>(ids.size()) == request.most) break;
    logits = decoder.append(std::span(&ids.back(), 1));
  }
  if (text) std::fputs(text->finish().c_str(), stdout);
  if (!request.json) std::fputs("\n", stdout);
  return ids;
}

}  // namespace

int verb_generate(const Words& words, Environment& environment) {
  Options options("generate MODEL_OR_RUN (--prompt TEXT | --ids 1,2,3) [options]",
                  "Continues a text with a Hugging Face folder, a checkpoint or a run: raw continuation, the likeliest "
                  "token at each\n"
                  "place unless a temperature is given; ends at an end token. The text is streamed.",
                  {"MODEL_OR_RUN"});
  options.add()("prompt,p", po::value<std::string>(), "the text to continue")("ids", po::value<std::string>(),
                                                                              "the same as token ids")(
      "max-new-tokens,n", po::value<std::int64_t>()->default_value(64), "at most so many tokens")(
      "temperature,t", po::value<double>()->default_value(0), "0: the likeliest token; 1: as the model's distribution")(
      "top-k", po::value<std::int64_t>()->default_value(0), "only the K likeliest tokens; 0: all")(
      "top-p", po::value<double>()->default_value(1), "only the likeliest tokens that hold this share")(
      "seed", po::value<std::int64_t>()->default_value(0), "of the draw")("json",
                                                                          "one JSON object instead of a stream")(
      "dtype", po::value<std::string>(), "f32 or bf16; default: the model's own")("threads", po::value<std::int64_t>(),
                                                                                  "CPU threads");
  if (!options.parse(words)) return 0;
  Request request = asked_of(options);
  LoadOptions load;
  if (options.has("dtype")) load.dtype = compute_dtype(options.text("dtype"));
  load.threads = options.threads();
  load.capacity = 1;  // nothing but the decoder runs
  World world(environment, load.threads.value_or(default_threads(environment)));
  if (world.size() > 1) fail_everywhere(Kind::usage, "generate runs on one rank: start it without mpirun");
  LoadedModel model(options.text("MODEL_OR_RUN"), load, environment, world);
  place_prompt(options, model.opened, request);
  bool ended = false;
  const auto ids = run(model, request, ended);
  if (request.json) {
    nlohmann::ordered_json result;
    result["prompt_ids"] = request.prompt;
    result["ids"] = ids;
    if (model.opened.tokenizer()) result["text"] = model.opened.tokenizer()->decode(ids, true);
    result["finish_reason"] = ended ? "stop" : "length";
    fmt::print("{}\n", result.dump());
  }
  return 0;
}

}  // namespace hearth

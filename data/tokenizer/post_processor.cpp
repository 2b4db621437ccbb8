#include "data/tokenizer/post_processor.h"

#include "base/error.h"

namespace hearth::tokenization {
namespace {

std::vector<std::int32_t> ids_of(const Json& specials, std::string_view name, std::int32_t vocabulary_size) {
  std::vector<std::int32_t> ids;
  for (const Json& id : specials.at(name).at("ids").items()) {
    ids.push_back(static_cast<std::int32_t>(id.integer(0, vocabulary_size - 1)));
  }
  return ids;
}

Surroundings read_template(const Json& description, std::int32_t vocabulary_size) {
  description.only({"type", "single", "pair", "special_tokens"});
  Surroundings around;
  bool text_met = false;
  const Json single = description.at("single");
  for (const Json& item : single.items()) {
    item.only({"SpecialToken", "Sequence"});
    if (const auto special = item.find("SpecialToken")) {
      const auto ids = ids_of(description.at("special_tokens"), special->text_at("id"), vocabulary_size);
      auto& side = text_met ? around.behind : around.before;
      side.insert(side.end(), ids.begin(), ids.end());
      continue;
    }
    const Json name = item.at("Sequence").at("id");
    if (name.text() != "A" || text_met) name.refuse("a template for one text must hold A once, and no other");
    text_met = true;
  }
  if (!text_met) single.refuse("the template has no place for the text");
  return around;
}

}  // namespace

Surroundings read_post_processor(const Json& description, std::int32_t vocabulary_size) {
  const std::string_view type = description.text_at("type");
  if (type == "TemplateProcessing") return read_template(description, vocabulary_size);
  if (type == "ByteLevel") {  // moves offsets only, which hearth does not report
    description.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return {};
  }
  if (type != "Sequence") description.refuse(fmt::format("the post-processor {} is not supported", type));
  description.only({"type", "processors"});
  Surroundings all;
  for (const Json& step : description.at("processors").items()) {
    const Surroundings around = read_post_processor(step, vocabulary_size);
    all.before.insert(all.before.begin(), around.before.begin(), around.before.end());
    all.behind.insert(all.behind.end(), around.behind.begin(), around.behind.end());
  }
  return all;
}

}  // namespace hearth::tokenization

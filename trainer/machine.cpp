#include "trainer/machine.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <functional>
#include <vector>

#include "base/error.h"
#include "trainer/recipe_nearest.h"
#include "trainer/recipe_yaml.h"

namespace hearth {

namespace {

/// One key of a map, and what becomes of its value. `key` names it in messages: links.inside.latency.
struct Entry {
  std::string name;
  std::function<void(const YamlValue& value, const std::string& key)> read;
  bool needed = true;
};

class Reader {
 public:
  Machine machine(const YamlValue& root);
  Mistakes mistakes;

 private:
  void complain(const YamlValue& value, std::string text) { mistakes.push_back({value.line, std::move(text)}); }
  void map(const YamlValue& value, const std::string& key, const std::vector<Entry>& entries);
  Entry number(const std::string& name, double& to, double least = 0);
  Entry flag(const std::string& name, bool& to);
  Entry link(const std::string& name, Machine::Link& to);
  Entry attention(const std::string& name, Machine::Attention& to);
};

/// Every key once, none that is not known, none missing that is needed.
void Reader::map(const YamlValue& value, const std::string& key, const std::vector<Entry>& entries) {
  const std::string in = key.empty() ? "the file" : key;
  if (!value.is_map()) return complain(value, fmt::format("{}: {}; a map is expected", in, value.shown()));
  std::vector<std::string> names;
  for (const Entry& entry : entries) names.push_back(entry.name);
  for (const auto& [name, below] : value.entries) {
    const std::string path = key.empty() ? name.text : key + "." + name.text;
    bool known = false;
    for (const Entry& entry : entries) {
      if (entry.name != name.text) continue;
      known = true;
      entry.read(below, path);
    }
    if (known) continue;
    const auto meant = nearest_words(name.text, names);
    complain(name, fmt::format("{}: no such key{}", path,
                               meant.empty() ? "" : fmt::format("; did you mean {}?", listed(meant))));
  }
  for (const Entry& entry : entries) {
    if (entry.needed && value.find(entry.name) == nullptr) complain(value, fmt::format("{} has no {}", in, entry.name));
  }
}

Entry Reader::number(const std::string& name, double& to, double least) {
  return {name, [this, &to, least](const YamlValue& value, const std::string& key) {
            const char* const end = value.text.data() + value.text.size();
            const auto [stop, error] = std::from_chars(value.text.data(), end, to);
            const bool is_number = value.is_scalar() && error == std::errc() && stop == end && std::isfinite(to);
            if (is_number && to >= least && (to > 0 || least == 0)) return;
            complain(value, fmt::format("{}: {}; a number of at least {} is expected", key, value.shown(), least));
          }};
}

Entry Reader::flag(const std::string& name, bool& to) {
  return {name, [this, &to](const YamlValue& value, const std::string& key) {
            to = value.text == "true";
            if (!value.is_scalar() || (value.text != "true" && value.text != "false")) {
              complain(value, fmt::format("{}: {}; true or false is expected", key, value.shown()));
            }
          }};
}

Entry Reader::link(const std::string& name, Machine::Link& to) {
  return {name, [this, &to](const YamlValue& value, const std::string& key) {
            map(value, key,
                {number("gather", to.gather, 1), number("reduce", to.reduce, 1), number("latency", to.latency)});
          }};
}

Entry Reader::attention(const std::string& name, Machine::Attention& to) {
  return {name, [this, &to](const YamlValue& value, const std::string& key) {
            map(value, key,
                {number("forward", to.forward, 1), number("backward", to.backward, 1),
                 number("half_forward", to.half_forward), number("half_backward", to.half_backward)});
          }};
}

Machine Reader::machine(const YamlValue& root) {
  Machine m;
  double node = 1;
  const auto below = [this](const std::string& name, std::vector<Entry> entries) {
    return Entry{name, [this, entries = std::move(entries)](const YamlValue& value, const std::string& key) {
                   map(value, key, entries);
                 }};
  };
  const auto device = [&](const YamlValue& value, const std::string& key) {
    m.device = value.text == "cpu" ? Machine::Device::cpu : Machine::Device::cuda;
    if (value.text != "cpu" && value.text != "cuda") {
      complain(value, fmt::format("{}: {}; cpu or cuda is expected", key, value.shown()));
    }
  };
  const auto ways = [&](const YamlValue& value, const std::string& key) {
    m.bf16_products = value.text == "native" ? Bf16Products::native : Bf16Products::widened;
    if (value.text != "native" && value.text != "widened") {
      complain(value, fmt::format("{}: {}; native or widened is expected", key, value.shown()));
    }
  };
  map(root, "",
      {{"name", [&](const YamlValue& value, const std::string&) { m.name = value.text; }},
       {"device", device},
       number("memory", m.memory, 1),
       number("runtime", m.runtime),
       below("peaks", {number("bf16", m.peaks[Dtype::bf16], 1), number("f32", m.peaks[Dtype::f32], 1)}),
       below("products", {number("bf16", m.products[Dtype::bf16], 1), number("f32", m.products[Dtype::f32], 1)}),
       {"bf16_products", ways, false},
       below("attention", {attention("bf16", m.attention[Dtype::bf16]), attention("f32", m.attention[Dtype::f32])}),
       number("bandwidth", m.bandwidth, 1),
       number("op", m.op),
       number("node", node, 1),
       below("links", {link("inside", m.inside), link("across", m.across)}),
       below("hides", {flag("gathers", m.hides_gathers), flag("reduces", m.hides_reduces)})});
  m.node = static_cast<int>(node);
  return m;
}

}  // namespace

Machine parse_machine(std::string_view yaml, const std::string& where) {
  Reader reader;
  const YamlValue root = read_yaml(yaml, reader.mistakes);
  Machine machine = reader.mistakes.empty() ? reader.machine(root) : Machine();
  if (reader.mistakes.empty()) return machine;
  std::string text = fmt::format("{} describes no machine:", where);
  for (const Mistake& mistake : reader.mistakes) text += fmt::format("\n  line {}: {}", mistake.line, mistake.text);
  fail(Kind::usage, "{}", text);
}

Machine read_machine(const Path& file) {
  if (!std::filesystem::is_regular_file(file)) {
    fail(Kind::usage, "there is no machine description at {}; `hearth plan --measure` writes one of this host",
         file.string());
  }
  return parse_machine(read_text(file), file.string());
}

std::string to_yaml(const Machine& m, const std::string& heading) {
  const auto attention = [](const Machine::Attention& a) {
    return fmt::format("{{forward: {:.4g}, backward: {:.4g}, half_forward: {:.4g}, half_backward: {:.4g}}}", a.forward,
                       a.backward, a.half_forward, a.half_backward);
  };
  const auto link = [](const Machine::Link& l) {
    return fmt::format("{{gather: {:.4g}, reduce: {:.4g}, latency: {:.4g}}}", l.gather, l.reduce, l.latency);
  };
  std::string text;
  for (std::size_t at = 0; at < heading.size();) {
    const std::size_t end = std::min(heading.find('\n', at), heading.size());
    text += "# " + heading.substr(at, end - at) + "\n";
    at = end + 1;
  }
  text += fmt::format(
      "name: {}\ndevice: {}\nmemory: {:.4g}    # bytes of one device\nruntime: {:.4g}   # of it that are no tensors\n",
      yaml_text(m.name), m.device == Machine::Device::cpu ? "cpu" : "cuda", m.memory, m.runtime);
  text += fmt::format("peaks:            # FLOP/s, what utilisation is a share of\n  bf16: {:.4g}\n  f32: {:.4g}\n",
                      m.peaks.at(Dtype::bf16), m.peaks.at(Dtype::f32));
  text += fmt::format("products:         # FLOP/s reached\n  bf16: {:.4g}\n  f32: {:.4g}\n", m.products.at(Dtype::bf16),
                      m.products.at(Dtype::f32));
  if (m.bf16_products) {
    text += fmt::format("bf16_products: {}\n", name_of(*m.bf16_products));
  }
  text += fmt::format(
      "attention:        # FLOP/s, and the row length at which half of it is reached\n  bf16: {}\n  f32: {}\n",
      attention(m.attention.at(Dtype::bf16)), attention(m.attention.at(Dtype::f32)));
  text += fmt::format(
      "bandwidth: {:.4g}   # bytes/s read and written\nop: {:.4g}          # seconds of the smallest operation\n",
      m.bandwidth, m.op);
  text += fmt::format("node: {}\nlinks:            # bytes/s of one device, seconds\n  inside: {}\n  across: {}\n",
                      m.node, link(m.inside), link(m.across));
  text += fmt::format("hides: {{gathers: {}, reduces: {}}}\n", m.hides_gathers, m.hides_reduces);
  return text;
}

}  // namespace hearth

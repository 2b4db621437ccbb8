// quickstart_data FOLDER: the private text of a company that does not exist, for the quickstart.
//
// Writes four files, always the same:
//   records.jsonl     what the company's files say, a text for each of its machines
//   questions.jsonl   questions about these machines with answers, to train on
//   exam.jsonl        the same facts asked in a wording that never occurs with that machine in questions.jsonl
//   strangers.jsonl   questions about machines that occur nowhere else: nobody can know the answers
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"

namespace {

using hearth::Key;

constexpr std::uint64_t machines = 64;   // in the files
constexpr std::uint64_t strangers = 16;  // nowhere
constexpr std::size_t wordings = 6;

struct Attribute {
  const char* name;
  const char* record;                           // the sentence of the record
  std::array<const char*, wordings> questions;  // {} is the machine
};

constexpr std::array<Attribute, 4> attributes = {{
    {"town",
     "{} stands in {}.",
     {"Where is {}?", "In which town does {} stand?", "Name the town of {}.", "Which site has {}?",
      "Where do I find {}?", "What is the location of {}?"}},
    {"foreman",
     "The foreman responsible for {} is {}.",
     {"Who looks after {}?", "Who is the foreman of {}?", "Name the foreman responsible for {}.",
      "Whom do I call about {}?", "Who is in charge of {}?", "Which foreman has {}?"}},
    {"oil",
     "{} runs on oil {}.",
     {"Which oil does {} take?", "What oil goes into {}?", "Name the oil for {}.", "Which lubricant does {} need?",
      "What is {} lubricated with?", "With which oil do I fill {}?"}},
    {"seal",
     "The seal kit of {} has the number {}.",
     {"Which seal kit fits {}?", "What is the seal kit number of {}?", "Name the seal kit of {}.",
      "Which seal kit do I order for {}?", "What number has the seal kit of {}?", "Which seals does {} use?"}},
}};

constexpr std::array<const char*, 10> kinds = {"press", "pump", "lathe", "mixer", "dryer",
                                               "crane", "mill", "saw",   "kiln",  "loom"};
constexpr std::array<const char*, 16> names = {"Amsel",  "Biber",   "Corvin", "Drossel", "Elster",  "Falke",
                                               "Garbe",  "Habicht", "Iltis",  "Jolle",   "Kestrel", "Luchs",
                                               "Marder", "Nebel",   "Otter",  "Pirol"};
constexpr std::array<const char*, 10> town_heads = {"Olden", "Brack", "Silver", "Marsh", "Kirk",
                                                    "Ash",   "Wolf",  "Lind",   "Stone", "Reed"};
constexpr std::array<const char*, 8> town_tails = {"ford", "wick", "mouth", "dale", "holm", "by", "stead", "moor"};
constexpr std::array<const char*, 12> first_names = {"Ada",   "Boris", "Clara", "Dmitri", "Edda", "Farid",
                                                     "Greta", "Hiro",  "Inga",  "Jonas",  "Kira", "Leon"};
constexpr std::array<const char*, 10> last_names = {"Abel",  "Brandt", "Castro", "Dietz",  "Eklund",
                                                    "Fabri", "Gruber", "Hansen", "Ivanov", "Jung"};

std::string machine(std::uint64_t i) {
  const std::uint64_t at = hearth::Permutation(Key(1).with("machines"), names.size() * kinds.size())(i);
  return fmt::format("{} {}", kinds[at % kinds.size()], names[at / kinds.size()]);
}

/// A fact: drawn for each machine and attribute.
std::string fact(std::uint64_t i, std::size_t attribute) {
  const Key key = Key(2).with(attributes[attribute].name);
  switch (attribute) {
    case 0:
      return fmt::format("{}{}", town_heads[key.below(town_heads.size(), 2 * i)],
                         town_tails[key.below(town_tails.size(), 2 * i + 1)]);
    case 1:
      return fmt::format("{} {}", first_names[key.below(first_names.size(), 2 * i)],
                         last_names[key.below(last_names.size(), 2 * i + 1)]);
    case 2:
      return fmt::format("VG {}", 100 + key.below(90, i) * 10);
    default:
      return fmt::format("S-{}", 1000 + key.below(9000, i));
  }
}

std::string asked(std::uint64_t i, std::size_t attribute, std::size_t wording) {
  return "Question: " + fmt::format(fmt::runtime(attributes[attribute].questions[wording]), machine(i)) + "\nAnswer:";
}

std::string row(std::uint64_t i, std::size_t attribute, std::size_t wording) {
  const nlohmann::ordered_json json = {{"prompt", asked(i, attribute, wording)},
                                       {"completion", " " + fact(i, attribute)}};
  return json.dump() + "\n";
}

std::string record(std::uint64_t i) {
  std::string text = fmt::format("Machine file: {}.", machine(i));
  for (std::size_t a = 0; a < attributes.size(); ++a) {
    text += " " + fmt::format(fmt::runtime(attributes[a].record), machine(i), fact(i, a));
  }
  return nlohmann::ordered_json({{"text", text}}).dump() + "\n";
}

void write(const hearth::Path& folder) {
  std::string records;
  std::string questions;
  std::string exam;
  std::string unknown;
  for (std::uint64_t i = 0; i < machines; ++i) {
    records += record(i);
    for (std::size_t a = 0; a < attributes.size(); ++a) {
      const std::size_t kept_back = (i + a) % wordings;
      for (std::size_t w = 0; w < wordings; ++w) (w == kept_back ? exam : questions) += row(i, a, w);
    }
  }
  for (std::uint64_t i = machines; i < machines + strangers; ++i) {
    for (std::size_t a = 0; a < attributes.size(); ++a) unknown += row(i, a, (i + a) % wordings);
  }
  hearth::make_folder(folder);
  hearth::write_file(folder / "records.jsonl", records);
  hearth::write_file(folder / "questions.jsonl", questions);
  hearth::write_file(folder / "exam.jsonl", exam);
  hearth::write_file(folder / "strangers.jsonl", unknown);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: quickstart_data FOLDER\n", stderr);
    return 2;
  }
  try {
    write(argv[1]);
  } catch (const hearth::Error& error) {
    std::fputs(fmt::format("quickstart_data: {}\n", error.text()).c_str(), stderr);
    return hearth::exit_code(error.kind());
  }
  return 0;
}

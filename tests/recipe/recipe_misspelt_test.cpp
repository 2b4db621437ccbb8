// Every single-letter slip in every key of every recipe of the project is an error that names the right key.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "recipe/read.h"
#include "trainer/recipe_keys.h"
#include "trainer/recipe_nearest.h"

namespace hearth {
namespace {

using test::mistakes;

std::vector<Path> recipes() {
  std::vector<Path> found;
  for (const auto& entry : std::filesystem::directory_iterator(HEARTH_RECIPES)) {  // machines/ describes hardware
    if (entry.path().extension() == ".yaml") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

struct KeyPlace {
  std::size_t offset = 0;
  std::string key;
};

bool is_key_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/// The word before each colon that stands outside of comments, at the beginning of a line or in a flow map.
std::vector<KeyPlace> keys_of(const std::string& text) {
  std::vector<KeyPlace> keys;
  bool comment = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') comment = false;
    if (text[i] == '#') comment = true;
    const bool ends_key = text[i] == ':' && i + 1 < text.size() && (text[i + 1] == ' ' || text[i + 1] == '\n');
    if (comment || !ends_key) continue;
    std::size_t start = i;
    while (start > 0 && is_key_letter(text[start - 1])) --start;
    if (start < i) keys.push_back({start, text.substr(start, i - start)});
  }
  return keys;
}

std::set<std::string> slips(const std::string& key) {
  std::set<std::string> found;
  for (std::size_t i = 0; i < key.size(); ++i) {
    std::string word = key;
    found.insert(word.erase(i, 1));
    word = key;
    word[i] = key[i] == 'x' ? 'q' : 'x';
    found.insert(word);
    if (i + 1 == key.size()) continue;
    word = key;
    std::swap(word[i], word[i + 1]);
    found.insert(word);
  }
  found.erase(key);
  found.erase("");
  return found;
}

bool is_accepted(const std::string& word) {
  return find_key(word, std::nullopt).has_value() || recipe_section_named(word).has_value();
}

TEST(Misspelt, EveryRecipeIsRightAsItStands) {
  ASSERT_GE(recipes().size(), 2U);
  for (const Path& path : recipes()) EXPECT_EQ(mistakes(read_text(path)), "") << path;
}

TEST(Misspelt, EverySlipInEveryKeyOfEveryRecipe) {
  int tried = 0;
  for (const Path& path : recipes()) {
    const std::string text = read_text(path);
    for (const KeyPlace& place : keys_of(text)) {
      for (const std::string& slip : slips(place.key)) {
        if (is_accepted(slip)) continue;
        std::string wrong = text;
        wrong.replace(place.offset, place.key.size(), slip);
        const std::string told = mistakes(wrong);
        ++tried;
        EXPECT_THAT(told, testing::HasSubstr("`" + slip + "`")) << path << ": " << place.key;
        const std::size_t nearest = told.find("nearest: ");
        ASSERT_NE(nearest, std::string::npos) << path << ": " << place.key << " as " << slip << "\n" << told;
        EXPECT_THAT(told.substr(nearest), testing::HasSubstr(place.key)) << slip;
      }
    }
  }
  EXPECT_GT(tried, 1000);
}

// The same for every spelling that the table knows, whether a recipe uses it or not.
TEST(Misspelt, EverySlipInEverySpelling) {
  for (const RecipeKey& key : recipe_keys()) {
    std::vector<std::string> spellings{key.name};
    for (const KeyAlias& alias : key.aliases) {
      if (!alias.only_in) spellings.push_back(alias.spelling);
    }
    for (const std::string& spelling : spellings) {
      for (const std::string& slip : slips(spelling)) {
        if (is_accepted(slip) || spelling.find_first_of("*") != std::string::npos || spelling.size() < 3) continue;
        std::set<std::string, std::less<>> meant;
        EXPECT_THAT(suggest_key(slip, true, meant), testing::HasSubstr("`" + spelling + "`")) << slip;
        EXPECT_TRUE(meant.contains(key.name)) << slip;
      }
    }
  }
}

TEST(Misspelt, Distances) {
  EXPECT_EQ(edit_distance("seed", "seed", 2), 0);
  EXPECT_EQ(edit_distance("sede", "seed", 2), 1);
  EXPECT_EQ(edit_distance("see", "seed", 2), 1);
  EXPECT_EQ(edit_distance("sxxd", "seed", 2), 2);
  EXPECT_EQ(edit_distance("", "ab", 2), 2);
  EXPECT_EQ(edit_distance("xyz", "seed", 2), 3);
  EXPECT_EQ(nearest_words("sede", {"speed", "seed"}), (std::vector<std::string>{"seed"}));
  EXPECT_TRUE(nearest_words("ab", {"cd"}).empty());
}

}  // namespace
}  // namespace hearth

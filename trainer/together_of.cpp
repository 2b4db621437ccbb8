#include "trainer/together_of.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/file.h"

namespace hearth {

namespace {

std::int64_t sum_over(Communicator& world, std::int64_t mine) {
  world.sum(Tensor(&mine, Dtype::i64, {1})).wait();
  return mine;
}

/// Texts travel in places of equal size, those of the longest.
std::vector<std::string> gathered(Communicator& world, std::string_view mine) {
  const auto ranks = static_cast<std::size_t>(world.size());
  auto length = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> lengths(ranks);
  world.gather(Tensor(&length, Dtype::i64, {1}), Tensor(lengths.data(), Dtype::i64, {world.size()})).wait();
  const std::int64_t place = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::string> texts(ranks);
  if (place == 0) return texts;
  std::string padded(mine);
  padded.resize(static_cast<std::size_t>(place));
  std::string all(ranks * padded.size(), '\0');
  world.gather(Tensor(padded.data(), Dtype::u8, {place}), Tensor(all.data(), Dtype::u8, {place * world.size()})).wait();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    texts[rank] = all.substr(rank * padded.size(), static_cast<std::size_t>(lengths[rank]));
  }
  return texts;
}

/// What two processes have alike exactly when they see the same files under the same names: the kernel since its start, the
/// name space of mounts, and the root. Nothing when that cannot be told.
std::string view_of_files() {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  std::error_code error;
  const Path mounts = std::filesystem::read_symlink("/proc/self/ns/mnt", error);
  struct stat root {};
  if (boot.empty() || error || ::stat("/", &root) != 0) return "";
  return fmt::format("{} {} {}:{}", boot, mounts.string(), root.st_dev, root.st_ino);
}

}  // namespace

Together together_of(Communicator& world) {
  Together together;
  together.part = world.rank();
  together.parts = world.size();
  together.same_files = {world.rank()};
  together.sum = [&world](std::int64_t mine) { return sum_over(world, mine); };
  together.gather = [&world](std::string_view mine) { return gathered(world, mine); };
  return together;
}

Together together_on_files_of(Communicator& world) {
  Together together = together_of(world);
  const std::string mine = view_of_files();
  const std::vector<std::string> views = together.gather(mine);
  if (mine.empty()) return together;
  together.same_files.clear();
  for (int part = 0; part < together.parts; ++part) {
    if (views[static_cast<std::size_t>(part)] == mine) together.same_files.push_back(part);
  }
  return together;
}

}  // namespace hearth

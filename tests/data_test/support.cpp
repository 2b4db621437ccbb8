#include "data_test/support.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/random.h"

namespace hearth::test {

namespace {

/// Adds up what all threads give; reused again and again.
class Adder {
 public:
  explicit Adder(int parts) : parts_(parts) {}

  std::int64_t sum(std::int64_t mine) {
    std::unique_lock lock(mutex_);
    const auto round = round_;
    sum_ += mine;
    if (++waiting_ == parts_) {
      result_ = sum_;
      sum_ = 0;
      waiting_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&] { return round_ != round; });
    }
    return result_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int parts_;
  int waiting_ = 0;
  std::int64_t round_ = 0;
  std::int64_t sum_ = 0;
  std::int64_t result_ = 0;
};

/// Where all threads write a text and then read those of all.
class Board {
 public:
  Board(Adder& adder, int parts) : adder_(adder), texts_(static_cast<std::size_t>(parts)) {}

  std::vector<std::string> gather(int part, std::string_view mine) {
    texts_[static_cast<std::size_t>(part)] = mine;
    adder_.sum(0);  // everybody has written
    std::vector<std::string> all = texts_;
    adder_.sum(0);  // everybody has read
    return all;
  }

 private:
  Adder& adder_;
  std::vector<std::string> texts_;
};

}  // namespace

std::vector<std::int32_t> document_ids(std::string_view text) {
  std::vector<std::int32_t> ids = {1};
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c) + 3);
  ids.push_back(2);
  return ids;
}

std::string put(const Path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  write_file(path, content);
  return path.string();
}

std::string compressed(std::string_view content) {
  std::string out(ZSTD_compressBound(content.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), content.data(), content.size(), 3));
  return out;
}

void as_parts(int parts, const std::function<void(const Together&)>& work, int hosts) {
  Adder adder(parts);
  Board board(adder, parts);
  std::vector<std::optional<Error>> errors(static_cast<std::size_t>(parts));
  std::vector<std::thread> threads;
  for (int part = 0; part < parts; ++part) {
    threads.emplace_back([&, part] {
      try {
        Together together;
        together.part = part;
        together.parts = parts;
        together.same_files.clear();
        for (int p = part % hosts; p < parts; p += hosts) together.same_files.push_back(p);
        together.sum = [&](std::int64_t mine) { return adder.sum(mine); };
        together.gather = [&, part](std::string_view mine) { return board.gather(part, mine); };
        work(together);
      } catch (const Error& error) {
        errors[static_cast<std::size_t>(part)] = error;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& error : errors) {
    ASSERT_EQ(error.has_value(), errors[0].has_value()) << "an error reached only some of the parts";
    if (error) {
      ASSERT_EQ(error->text(), errors[0]->text());
      ASSERT_EQ(error->speaker(), errors[0]->speaker());
      ASSERT_TRUE(error->speaker().has_value());
    }
  }
  if (errors[0]) throw Error(*errors[0]);
}

std::string error_of(Kind kind, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.text();
    return error.text();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

DataOptions options_for(const std::string& path, const Path& folder) {
  DataOptions options;
  if (!path.empty()) options.datasets = {{path, {}, "", 1, {}, {}}};
  options.rules.stage = DataStage::pt;
  options.packing = Packing::none;
  options.overflow = Overflow::split;
  options.cutoff_len = 16;
  options.cache_dir = folder / "cache";
  options.side_folder = folder / "side";
  return options;
}

std::string texts(int count, std::uint64_t seed, std::uint64_t longest) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    const auto size = static_cast<std::size_t>(1 + Key(seed).below(longest, static_cast<std::uint64_t>(i)));
    lines += fmt::format("{{\"text\": \"{}\"}}\n", std::string(size, static_cast<char>('a' + i % 26)));
  }
  return lines;
}

Rows rows_of(const Dataset& dataset) {
  Rows rows;
  for (std::int64_t i = 0; i < dataset.rows(); ++i) {
    Row row = dataset.row(i);
    rows.tokens.push_back(row.tokens);
    rows.targets.push_back(row.targets);
    rows.starts.push_back(row.document_starts);
  }
  return rows;
}

}  // namespace hearth::test

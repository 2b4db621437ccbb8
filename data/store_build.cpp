// How the parts of a job make one store: who does what when, and what happens when one of them fails.
//
// 1. Part 0 takes a lock that dies with its process, makes a folder that no other job has, and removes those whose lock
//    is free.
// 2. Every part writes its file there.
// 3. Part 0 joins them and renames the folder to its final name.
// Between the steps all parts tell each other who failed; if any did, all throw the error of the first.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>

#include "base/error.h"
#include "data/store_files.h"
#include "data/store_writer.h"

namespace hearth {

namespace {

namespace fs = std::filesystem;

/// A lock file held by this process; the kernel frees it when the process ends, however it ends.
class FileLock {
 public:
  /// Nothing when another process (or another lock in this one) holds it.
  static std::unique_ptr<FileLock> taken(const Path& path) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) {
      const int error = errno;
      fail(error == EACCES || error == EPERM || error == EROFS ? Kind::machine : Kind::storage,
           "cannot write {}: {}; name another cache_dir", path.string(), std::strerror(error));
    }
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return std::unique_ptr<FileLock>(new FileLock(path, descriptor));
    ::close(descriptor);
    return nullptr;
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock() {
    ::unlink(path_.c_str());
    ::close(descriptor_);
  }

 private:
  FileLock(Path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  Path path_;
  int descriptor_;
};

constexpr const char* partial_ending = ".partial";
constexpr const char* lock_ending = ".lock";

Path lock_of(const Path& partial) {
  return Path(partial).replace_extension(lock_ending);
}

/// Removes the folders of jobs that ended before their store was whole.
void clean(const Path& cache_dir) {
  for (const auto& entry : fs::directory_iterator(cache_dir)) {
    if (entry.path().extension() != partial_ending || !entry.is_directory()) continue;
    if (const auto lock = FileLock::taken(lock_of(entry.path()))) {
      std::error_code ignored;
      fs::remove_all(entry.path(), ignored);
    }
  }
}

/// The folder that one job writes into, removed with its lock unless it became the store.
class PartialFolder {
 public:
  PartialFolder(Path path, bool owner) : path_(std::move(path)), owner_(owner) {}
  ~PartialFolder() {
    std::error_code ignored;
    if (owner_) fs::remove_all(path_, ignored);
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  void create() {
    make_folder(path_.parent_path());
    clean(path_.parent_path());
    lock_ = FileLock::taken(lock_of(path_));
    if (!lock_) fail(Kind::machine, "{} is held by another job: start again", lock_of(path_).string());
    make_folder(path_);
  }

  /// Becomes the store, unless another job was faster with the same one.
  void become(const Path& store) {
    if (fs::exists(store / store_files::manifest_name)) return;
    rename_durably(path_, store);
  }

  const Path& path() const { return path_; }

 private:
  Path path_;
  bool owner_;
  std::unique_ptr<FileLock> lock_;
};

void build(const Path& cache_dir, const Path& store, const std::string& key, const StoreRequest& request,
           const Together& together) {
  std::random_device entropy;
  const std::int64_t job = together.from_first(static_cast<std::int64_t>(entropy() & 0x7fffffffU));
  PartialFolder partial(cache_dir / fmt::format(".{}-{:08x}{}", store.filename().string(), job, partial_ending),
                        together.part == 0);
  all_or_none(together, [&] {
    if (together.part == 0) partial.create();
  });
  all_or_none(together, [&] { write_part(partial.path(), request, together); });
  all_or_none(together, [&] {
    if (together.part != 0) return;
    join_parts(partial.path(), key, together.parts);
    partial.become(store);
  });
}

}  // namespace

std::shared_ptr<const TokenStore> open_or_build_store(const Path& cache_dir, const StoreRequest& request,
                                                      const Together& together) {
  const std::string key = store_key(request);
  const Path store = cache_dir / key.substr(0, 32);
  std::error_code ignored;
  const bool there = fs::exists(store / store_files::manifest_name, ignored);
  if (together.from_first(there ? 1 : 0) == 0) build(cache_dir, store, key, request, together);
  const auto place = std::find(together.same_files.begin(), together.same_files.end(), together.part);
  const store_files::Share share = {static_cast<std::size_t>(place - together.same_files.begin()),
                                    together.same_files.size()};
  all_or_none(together, [&] { store_files::verified(store, share); });  // all of it, before a part opens any of it
  std::shared_ptr<const TokenStore> opened;
  all_or_none(together, [&] {
    opened = std::make_shared<const TokenStore>(store, TokenStore::Digests::compared);
    if (opened->key() != key)
      store_files::damaged(store / store_files::manifest_name, "it says that this is the token store of other data");
  });
  return opened;
}

}  // namespace hearth

#include "model/hf/safetensors.h"

#include <sys/stat.h>

#include "base/error.h"

namespace hearth::hf {

SafetensorsFile::Identity SafetensorsFile::identity_of(const Path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};  // gone or not to be seen; a mapping outlives that
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec,
          status.st_mtim.tv_nsec};
}

SafetensorsFile::SafetensorsFile(const Path& path) : path_(path), identity_(identity_of(path)), map_(path) {
  if (identity_.size != map_.bytes().size()) fail(Kind::data, "{} changed while it was opened", path.string());
  header_ = parse_safetensors_header(map_.bytes(), map_.bytes().size(), path.string());
}

void SafetensorsFile::check_unchanged() const {
  const Identity now = identity_of(path_);
  if (now.inode != identity_.inode || now.device != identity_.device) return;
  if (now.size != identity_.size || now.seconds != identity_.seconds || now.nanoseconds != identity_.nanoseconds)
    fail(Kind::data, "{} was changed while it was being read; leave it alone and start again", path_.string());
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, info] : header_.tensors) names.push_back(name);
  return names;
}

const TensorInfo& SafetensorsFile::info(std::string_view name) const {
  const auto found = header_.tensors.find(name);
  if (found == header_.tensors.end()) fail(Kind::data, "{} has no tensor {}", path_.string(), name);
  return found->second;
}

std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  check_unchanged();
  return map_.bytes().subspan(static_cast<std::size_t>(header_.data_begin + tensor.begin),
                              static_cast<std::size_t>(tensor.bytes()));
}

void SafetensorsFile::read_f32(std::string_view name, std::int64_t begin, std::int64_t end, float* out) const {
  const TensorInfo& tensor = info(name);
  if (!is_weight(tensor.dtype))
    fail(Kind::data, "{}: {} is stored as {}; hearth reads weights in F32, BF16 and F16", path_.string(), name,
         name_of(tensor.dtype));
  require(begin >= 0 && begin <= end && static_cast<std::uint64_t>(end) <= tensor.elements(),
          "a range of a tensor lies within it");
  const std::size_t width = bits_of(tensor.dtype) / 8;
  widen(tensor.dtype, bytes(name).data() + static_cast<std::size_t>(begin) * width,
        static_cast<std::size_t>(end - begin), out);
}

}  // namespace hearth::hf

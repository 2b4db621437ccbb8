#include "data/stream.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace hearth {

namespace {

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(const Path& path) : file_(path) {}

  std::size_t read(char* into, std::size_t bytes) override {
    const std::size_t count = std::min(bytes, file_.size() - at_);
    if (count > 0) file_.read(at_, into, count);
    at_ += count;
    return count;
  }

 private:
  InFile file_;
  std::size_t at_ = 0;
};

class ZstdStream final : public ByteStream {
 public:
  explicit ZstdStream(const Path& path)
      : path_(path), file_(path), context_(ZSTD_createDCtx(), ZSTD_freeDCtx), in_(ZSTD_DStreamInSize(), '\0') {
    if (context_ == nullptr) fail(Kind::machine, "no memory to decompress {}", path.string());
    // Windows above 128 MiB (zstd --long=28 and more) would let a small file take gigabytes of memory.
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, 27);
    if (file_.size() == 0) fail(Kind::data, "{} is empty: it is not a zstd file", path.string());
  }

  std::size_t read(char* into, std::size_t bytes) override {
    ZSTD_outBuffer out = {into, bytes, 0};
    while (out.pos == 0) {
      if (view_.pos == view_.size && !more())
        return 0;  // zstd keeps the last byte of a frame back until all of it is out
      pending_ = ZSTD_decompressStream(context_.get(), &out, &view_);
      if (ZSTD_isError(pending_) != 0) {
        fail(Kind::data, "{}: damaged zstd data near byte {}: {}", path_.string(), at_, ZSTD_getErrorName(pending_));
      }
    }
    return out.pos;
  }

 private:
  /// Reads the next piece of the file; false when the file ends where a frame ends and all of it came out.
  bool more() {
    const std::size_t count = std::min(in_.size(), file_.size() - at_);
    if (count == 0) {
      if (pending_ != 0) fail(Kind::data, "{} is cut off: its last zstd frame is incomplete", path_.string());
      return false;
    }
    file_.read(at_, in_.data(), count);
    at_ += count;
    view_ = {in_.data(), count, 0};
    return true;
  }

  Path path_;
  InFile file_;
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
  std::string in_;
  ZSTD_inBuffer view_ = {nullptr, 0, 0};
  std::size_t at_ = 0;
  std::size_t pending_ = 0;  // 0 exactly when a frame has ended and all of it came out
};

}  // namespace

std::unique_ptr<ByteStream> ByteStream::open(const Path& path, Container container) {
  if (container == Container::lines_zstd) return std::make_unique<ZstdStream>(path);
  return std::make_unique<PlainStream>(path);
}

LineReader::LineReader(const Path& path, Container container, std::uint64_t limit)
    : path_(path), bytes_(ByteStream::open(path, container)), limit_(limit), block_(std::size_t{1} << 18, '\0') {}

bool LineReader::refill() {
  at_ = 0;
  end_ = bytes_->read(block_.data(), block_.size());
  return end_ > 0;
}

bool LineReader::next() {
  line_.clear();
  offset_ = next_offset_;
  bool any = false;
  while (at_ < end_ || refill()) {
    any = true;
    const char* begin = block_.data() + at_;
    const auto* newline = static_cast<const char*>(std::memchr(begin, '\n', end_ - at_));
    const std::size_t count = newline == nullptr ? end_ - at_ : static_cast<std::size_t>(newline - begin);
    if (line_.size() + count > limit_) {
      fail(Kind::data, "{}, line {}: longer than {} bytes; this is no row of text", path_.string(), number_ + 1,
           limit_);
    }
    line_.append(begin, count);
    at_ += count + (newline == nullptr ? 0 : 1);
    next_offset_ += count + (newline == nullptr ? 0 : 1);
    if (newline != nullptr) break;
  }
  if (any) ++number_;
  return any;
}

}  // namespace hearth

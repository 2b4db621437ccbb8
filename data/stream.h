// Files as streams of bytes and of lines: plain or compressed, from the first byte to the last, once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/file.h"
#include "data/format.h"

namespace hearth {

/// The bytes of a file, decompressed where its container is. Nothing is ever held whole.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Up to `bytes` bytes; 0 only at the end. Throws Kind::data naming the file where it is cut off or damaged.
  virtual std::size_t read(char* into, std::size_t bytes) = 0;

  static std::unique_ptr<ByteStream> open(const Path& path, Container container);
};

/// Lines that end at '\n' (which is not part of them); a last line needs none.
class LineReader {
 public:
  /// No line may be longer than `limit` bytes: a guard against files that are no text and against compression bombs.
  LineReader(const Path& path, Container container, std::uint64_t limit = std::uint64_t{1} << 30);

  /// Moves to the next line; false at the end. Throws Kind::data.
  bool next();
  const std::string& line() const { return line_; }
  std::uint64_t number() const { return number_; }  // of this line, from 1
  std::uint64_t offset() const { return offset_; }  // of its first byte among the decompressed bytes

 private:
  bool refill();

  Path path_;
  std::unique_ptr<ByteStream> bytes_;
  std::uint64_t limit_;
  std::string block_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::string line_;
  std::uint64_t number_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t next_offset_ = 0;
};

}  // namespace hearth

// SHA-384 (FIPS 180-4), by OpenSSL.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace hearth {

/// A digest that grows. `hex()` ends it.
class Sha384 {
 public:
  Sha384();
  ~Sha384();
  Sha384(Sha384&&) noexcept;
  Sha384& operator=(Sha384&&) noexcept;
  void add(const void* data, std::size_t bytes);
  void add(std::string_view text) { add(text.data(), text.size()); }
  /// 96 lower-case hexadecimal digits. The object is spent afterwards.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha384(std::string_view bytes);
/// Digest of a file's content, read in pieces. Throws Kind::data when it cannot be read.
std::string sha384_of_file(const std::filesystem::path& path);

}  // namespace hearth

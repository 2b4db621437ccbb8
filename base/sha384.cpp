#include "base/sha384.h"

#include <openssl/evp.h>

#include <array>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace hearth {

struct Sha384::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha384::Sha384() : state_(std::make_unique<State>()) {
  require(EVP_DigestInit_ex(state_->context, EVP_sha384(), nullptr) == 1, "OpenSSL offers SHA-384");
}
Sha384::~Sha384() = default;
Sha384::Sha384(Sha384&&) noexcept = default;
Sha384& Sha384::operator=(Sha384&&) noexcept = default;

void Sha384::add(const void* data, std::size_t bytes) {
  require(EVP_DigestUpdate(state_->context, data, bytes) == 1, "a digest takes bytes until it is ended");
}

std::string Sha384::hex() {
  std::array<unsigned char, 48> digest{};
  unsigned length = 0;
  require(EVP_DigestFinal_ex(state_->context, digest.data(), &length) == 1 && length == digest.size(),
          "a digest is ended once");
  std::string text;
  for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string sha384(std::string_view bytes) {
  Sha384 digest;
  digest.add(bytes);
  return digest.hex();
}

std::string sha384_of_file(const std::filesystem::path& path) {
  InFile file(path);
  Sha384 digest;
  std::vector<char> piece(std::size_t{1} << 20);
  for (std::size_t at = 0; at < file.size();) {
    const std::size_t bytes = std::min(piece.size(), file.size() - at);
    file.read(at, piece.data(), bytes);
    digest.add(piece.data(), bytes);
    at += bytes;
  }
  return digest.hex();
}

}  // namespace hearth

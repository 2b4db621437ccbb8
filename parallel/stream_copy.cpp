#include "parallel/stream_copy.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "parallel/checked_communicator.h"

namespace hearth {

namespace {
constexpr std::size_t line = 64;  // bytes of a cache line
}

void copy_part(std::size_t whole, const void* from, void* to, std::size_t bytes) {
  if (whole >= stream_bytes && from != to) {
    stream_copy(from, to, bytes);
  } else {
    copy_bytes(from, to, bytes);
  }
}

// Whole lines are streamed; what lies before the first and after the last is copied.
void stream_copy(const void* from, void* to, std::size_t bytes) {
  const auto* source = static_cast<const std::byte*>(from);
  auto* target = static_cast<std::byte*>(to);
  const std::size_t head = std::min(bytes, (line - reinterpret_cast<std::uintptr_t>(target) % line) % line);
  if (head != 0) std::memcpy(target, source, head);
  std::size_t done = head;
  for (; done + line <= bytes; done += line) {
    const auto* in = reinterpret_cast<const __m128i*>(source + done);
    auto* out = reinterpret_cast<__m128i*>(target + done);
    const __m128i a = _mm_loadu_si128(in);
    const __m128i b = _mm_loadu_si128(in + 1);
    const __m128i c = _mm_loadu_si128(in + 2);
    const __m128i d = _mm_loadu_si128(in + 3);
    _mm_stream_si128(out, a);
    _mm_stream_si128(out + 1, b);
    _mm_stream_si128(out + 2, c);
    _mm_stream_si128(out + 3, d);
  }
  if (done < bytes) std::memcpy(target + done, source + done, bytes - done);
  _mm_sfence();
}

}  // namespace hearth

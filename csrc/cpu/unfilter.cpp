#include <cstdlib>
#include <cstring>

#include "core/api.h"
#include "core/hd.h"
#include "cpu/clones.h"

namespace srfast {

namespace {

using Bytes = uint8_t __attribute__((vector_size(16)));
using Shorts = int16_t __attribute__((vector_size(16)));
using Words = uint32_t __attribute__((vector_size(16)));

// Four bytes as the first four of eight numbers, and back.
SRFAST_INLINE Shorts load(const uint8_t* p) {
  uint32_t word;
  std::memcpy(&word, p, 4);
  const Bytes b = (Bytes)(Words{word, 0, 0, 0}), zero = {};
  return (Shorts)__builtin_shufflevector(b, zero, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

SRFAST_INLINE void store(Shorts v, uint8_t* p) {
  const Bytes b = (Bytes)v;
  const Words w = (Words)__builtin_shufflevector(b, b, 0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
  const uint32_t word = w[0];
  std::memcpy(p, &word, 4);
}

// The predictor of Paeth (PNG, section 9.4): of left, above and above left the one nearest to left + above - corner.
struct Paeth {
  static SRFAST_INLINE int one(int a, int b, int c) {
    const int pa = std::abs(b - c), pb = std::abs(a - c), pc = std::abs(a + b - 2 * c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
  }
  static SRFAST_INLINE Shorts four(Shorts a, Shorts b, Shorts c) {
    auto magnitude = [](Shorts v) { return v > -v ? v : -v; };
    const Shorts to_a = b - c, to_b = a - c;
    const Shorts pa = magnitude(to_a), pb = magnitude(to_b), pc = magnitude(to_a + to_b);
    const Shorts least = pa < pb ? pa : pb, nearest = pa > pb ? b : a;
    return pc < least ? c : nearest;
  }
};

struct Average {
  static SRFAST_INLINE int one(int a, int b, int) { return (a + b) >> 1; }
  static SRFAST_INLINE Shorts four(Shorts a, Shorts b, Shorts) { return (a + b) >> 1; }
};

struct Left {
  static SRFAST_INLINE int one(int a, int, int) { return a; }
  static SRFAST_INLINE Shorts four(Shorts a, Shorts, Shorts) { return a; }
};

// A row whose every pixel waits for the one before it: its bytes are worked on together. All but the last pixel, as
// four bytes are read and written where a pixel may have three.
template <class Predictor, int kPixel>
SRFAST_INLINE void serial(const uint8_t* src, const uint8_t* above, int64_t row, uint8_t* dst) {
  int64_t x = 0;
  if constexpr (kPixel >= 3) {
    Shorts a = {}, c = {};
    for (; x + kPixel < row; x += kPixel) {
      const Shorts b = load(above + x);
      a = (load(src + x) + Predictor::four(a, b, c)) & 255;
      store(a, dst + x);
      c = b;
    }
  }
  for (; x < row; ++x) {
    const bool first = x < kPixel;
    const int a = first ? 0 : dst[x - kPixel], c = first ? 0 : above[x - kPixel];
    dst[x] = static_cast<uint8_t>(src[x] + Predictor::one(a, above[x], c));
  }
}

template <int kPixel>
SRFAST_INLINE bool unfilter(const uint8_t* src, int64_t h, int64_t row, uint8_t* dst) {
  const uint8_t* above = nullptr;
  for (int64_t y = 0; y < h; ++y, src += row + 1, above = dst, dst += row) {
    int kind = src[0];
    if (!above) {
      if (kind == 2) kind = 0;  // nothing is added
      if (kind == 4) kind = 1;  // the nearest of left, 0 and 0 to left is left
    }
    const uint8_t* in = src + 1;
    switch (kind) {
      case 0:
        std::memcpy(dst, in, static_cast<size_t>(row));
        break;
      case 1:
        serial<Left, kPixel>(in, in, row, dst);
        break;
      case 2:
        for (int64_t x = 0; x < row; ++x) dst[x] = static_cast<uint8_t>(in[x] + above[x]);
        break;
      case 3:
        if (above) {
          serial<Average, kPixel>(in, above, row, dst);
        } else {
          for (int64_t x = 0; x < row; ++x)
            dst[x] = static_cast<uint8_t>(in[x] + (x < kPixel ? 0 : dst[x - kPixel] >> 1));
        }
        break;
      case 4:
        serial<Paeth, kPixel>(in, above, row, dst);
        break;
      default:
        return false;
    }
  }
  return true;
}

SRFAST_CLONES bool gray(const uint8_t* src, int64_t h, int64_t row, uint8_t* dst) {
  return unfilter<1>(src, h, row, dst);
}
SRFAST_CLONES bool rgb(const uint8_t* src, int64_t h, int64_t row, uint8_t* dst) {
  return unfilter<3>(src, h, row, dst);
}
SRFAST_CLONES bool rgba(const uint8_t* src, int64_t h, int64_t row, uint8_t* dst) {
  return unfilter<4>(src, h, row, dst);
}

}  // namespace

bool unfilter_cpu(const uint8_t* src, int64_t h, int64_t row, int pixel, uint8_t* dst) {
  return (pixel == 1 ? gray : pixel == 3 ? rgb : rgba)(src, h, row, dst);
}

}  // namespace srfast

// Reduced precision on AVX2 alone: two int16 products and their sum by two instructions. Those of floats are as many,
// but additions run on other ports than multiplications.
#define SRFAST_ENGINE engine_int_avx2
#define SRFAST_LANES 8
#include <immintrin.h>

#include "cpu/int_weights.h"
#include "cpu/score_engine.h"

namespace srfast {
namespace engine_int_avx2 {
namespace {

using Pixel = int16_t;
using Tap = int16_t;
constexpr IntLayout kLayout{8, 16, 16, 2, false, false};

// Assembly, because GCC 12 multiplies ahead of the additions and spills.
SRFAST_INLINE void dot2(Ints& sums, Ints a, Ints b) {
  Ints products;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sums), "=&x"(products) : "x"(a), "x"(b));
}
SRFAST_INLINE void dot1(Ints& sums, Ints pixels, Ints weights) { dot2(sums, pixels, weights); }
SRFAST_INLINE void dot2_pair(Ints& sums, Ints pair, Ints weights) { dot2(sums, pair, weights); }
SRFAST_INLINE Ints narrow(Ints a, Ints b) { return (Ints)_mm256_packus_epi32((__m256i)a, (__m256i)b); }

}  // namespace
}  // namespace engine_int_avx2
}  // namespace srfast

#include "cpu/int_engine.h"

SRFAST_EXPORT_INT_ENGINE(avx2, avx2)

// Reduced precision on AVX-512 VNNI: four int8 products (conv1) or two int16 products (conv2, conv3) an instruction
// instead of one float.
#define SRFAST_ENGINE engine_int_avx512
#define SRFAST_LANES 16
#include <immintrin.h>

#include "cpu/int_weights.h"
#include "cpu/score_engine.h"

namespace srfast {
namespace engine_int_avx512 {
namespace {

using Pixel = uint8_t;
using Tap = int8_t;
constexpr IntLayout kLayout{16, 64, 32, 4, false, false};

#ifdef __AVX512VNNI__
// Assembly, because GCC 12 copies and spills the accumulators of the intrinsics (measured 0.86 x).
SRFAST_INLINE void dot1(Ints& sums, Ints pixels, Ints weights) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(pixels), "v"(weights));
}
SRFAST_INLINE void dot2(Ints& sums, Ints a, Ints b) { __asm__("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b)); }
SRFAST_INLINE void dot2_pair(Ints& sums, Ints pair, Ints weights) { dot2(sums, pair, weights); }
SRFAST_INLINE Ints narrow(Ints a, Ints b) { return (Ints)_mm512_packus_epi32((__m512i)a, (__m512i)b); }
#else
#include "cpu/plain_dots.h"  // for tests on machines without these instructions
#endif

}  // namespace
}  // namespace engine_int_avx512
}  // namespace srfast

#include "cpu/int_engine.h"

SRFAST_EXPORT_INT_ENGINE(avx512, avx512)

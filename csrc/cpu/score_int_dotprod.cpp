// Reduced precision on AArch64 with SDOT: four int8 products (conv1) an instruction instead of one float. conv2 and
// conv3 take as many instructions as those of floats.
#define SRFAST_ENGINE engine_int_dotprod
#define SRFAST_LANES 4
#include <arm_neon.h>

#include "cpu/int_weights.h"
#include "cpu/score_engine.h"

namespace srfast {
namespace engine_int_dotprod {
namespace {

using Pixel = int8_t;
using Tap = int8_t;
constexpr IntLayout kLayout{4, 16, 16, 4, true, true};

SRFAST_INLINE void dot1(Ints& sums, Ints pixels, Ints weights) {
  sums = (Ints)vdotq_s32((int32x4_t)sums, (int8x16_t)weights, (int8x16_t)pixels);
}
SRFAST_INLINE void dot2(Ints& sums, Ints a, Ints b) {
  const int16x8_t x = (int16x8_t)a, w = (int16x8_t)b;
  sums = (Ints)vmlal_high_s16(vmlal_s16((int32x4_t)sums, vget_low_s16(x), vget_low_s16(w)), x, w);
}
SRFAST_INLINE void dot2_pair(Ints& sums, Ints pair, Ints weights) {
  const int16x8_t x = (int16x8_t)pair, w = (int16x8_t)weights;
  sums = (Ints)vmlal_high_laneq_s16(vmlal_laneq_s16((int32x4_t)sums, vget_low_s16(w), x, 0), w, x, 1);
}
SRFAST_INLINE Ints narrow(Ints a, Ints b) { return (Ints)vqmovun_high_s32(vqmovun_s32((int32x4_t)a), (int32x4_t)b); }

}  // namespace
}  // namespace engine_int_dotprod
}  // namespace srfast

#include "cpu/int_engine.h"

SRFAST_EXPORT_INT_ENGINE(baseline, dotprod)

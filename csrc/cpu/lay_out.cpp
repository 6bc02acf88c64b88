#include <algorithm>
#include <utility>

#include "cpu/engine_types.h"
#include "cpu/pack_int.h"

namespace srfast {

void lay_out(const IntNetwork& n, const IntLayout& layout, IntWeightsStorage& out) {
  const int pairs = n.classes * n.classes, block = layout.block1, group = layout.group;
  std::vector<int8_t> w1(n.w1.size());
  out.bias1 = n.bias1;
  for (int p = 0; p < pairs; ++p)
    for (int c = 0; c < kC1; ++c)
      for (int t = 0; t < n.taps * kTapColumns; ++t) {
        const int8_t w = n.w1[(p * kC1 + c) * n.taps * kTapColumns + t];
        const int at = ((p * kC1 / block + c / block) * n.taps * kTapColumns / group + t / group) * block * group;
        w1[at + c % block * group + t % group] = w;
        if (layout.minus_128) out.bias1[p * kC1 + c] += 128 * w;
      }
  out.shift1 = n.shift1;
  out.bias2 = n.bias2;
  out.shift2 = n.shift2;
  out.w2.resize(n.w2.size());
  for (int c = 0; c < kC2; ++c)
    for (int i = 0; i < kC1; ++i) {
      const int in = c % layout.block2, lane = in % layout.lanes;
      const int at = layout.halves ? (in - lane) * 2 + i % 2 * layout.lanes + lane : in * 2 + i % 2;
      out.w2[(c / layout.block2 * kC1 / 2 + i / 2) * layout.block2 * 2 + at] =
          n.w2[c * kC1 + packed_channel(i, layout.lanes)];
    }
  out.w3.resize(n.w3.size());
  for (int t = 0; t < 25; ++t)
    for (int c = 0; c < kC2; ++c) out.w3[t * kC2 + c] = n.w3[t * kC2 + packed_channel(c, layout.lanes)];
  if (group == 2)
    out.wide1.assign(w1.begin(), w1.end());
  else
    out.w1 = std::move(w1);
  IntWeights& z = out.weights;
  z.classes = n.classes;
  z.taps = n.taps;
  std::copy(n.first, n.first + 12, z.first);
  z.w1 = group == 2 ? static_cast<const void*>(out.wide1.data()) : out.w1.data();
  z.bias1 = out.bias1.data();
  z.shift1 = out.shift1.data();
  z.w2 = out.w2.data();
  z.bias2 = out.bias2.data();
  z.shift2 = out.shift2.data();
  z.w3 = out.w3.data();
  z.bias3 = n.bias3;
  z.unit = n.unit;
}

}  // namespace srfast

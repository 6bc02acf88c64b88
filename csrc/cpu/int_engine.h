// The integer engine, compiled once per instruction set after score_engine.h. The including file defines, in the
// engine's namespace, Pixel and Tap (types of an LR pixel and a weight of conv1), kLayout, and
//   dot1(sums, pixels, weights)   adds kLayout.group products of conv1 to each lane
//   dot2(sums, a, b)              adds two products of int16 to each lane, whichever
//   dot2_pair(sums, pair, weights)  adds a pair of pixels times the lane's pair of weights
//   narrow(a, b)                  two vectors of sums as one of int16, 0 where negative
namespace srfast {
namespace SRFAST_ENGINE {
namespace {

SRFAST_INLINE Ints load_ints(const void* p) {
  Ints v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// The same 32 bits in every lane.
SRFAST_INLINE Ints splat32(const void* p) {
  int32_t v;
  std::memcpy(&v, p, sizeof v);
  return v - Ints{};
}

template <int PX, int V>
SRFAST_INLINE void start(Ints (&acc)[PX][V], const int32_t* bias) {
  for (int v = 0; v < V; ++v) {
    const Ints b = load_ints(bias + v * L);
    for (int p = 0; p < PX; ++p) acc[p][v] = b;
  }
}

template <int PX, int V>
SRFAST_INLINE void activate(const Ints (&acc)[PX][V], const int32_t* shift, int16_t* out, int64_t stride) {
  for (int v = 0; v < V; v += 2) {
    const Ints low = load_ints(shift + v * L), high = load_ints(shift + (v + 1) * L);
    for (int p = 0; p < PX; ++p) {
      const Ints h = narrow(acc[p][v] >> low, acc[p][v + 1] >> high);
      std::memcpy(out + p * stride + v * L, &h, sizeof h);
    }
  }
}

template <int PX>
SRFAST_INLINE void conv1_int(const IntWeights& z, int pair, const Pixel* const* rows, int64_t x, int16_t* h1) {
  constexpr int block = kLayout.block1, group = kLayout.group;
  const Tap* w = static_cast<const Tap*>(z.w1) + static_cast<int64_t>(pair) * z.taps * kTapColumns * kC1;
  // Opaque to the compiler: unrolled, sums of vectors of eight lanes are spilled.
  int groups = kTapColumns / group;
  if (L < 16) __asm__("" : "+r"(groups));
  for (int c = 0; c < kC1; c += block) {
    Ints acc[PX][block / L];
    start(acc, z.bias1 + static_cast<int64_t>(pair) * kC1 + c);
    for (int i = 0; i < z.taps; ++i) {
      const Pixel* r = rows[i] + x;
      for (int g = 0; g < groups; ++g, r += group, w += block * group) {
        Ints wv[block / L];
        for (int v = 0; v < block / L; ++v) wv[v] = load_ints(w + v * L * group);
        for (int p = 0; p < PX; ++p) {
          const Ints xv = splat32(r + p);
          for (int v = 0; v < block / L; ++v) dot1(acc[p][v], xv, wv[v]);
        }
      }
    }
    activate(acc, z.shift1 + static_cast<int64_t>(pair) * kC1 + c, h1 + c, kC1);
  }
}

template <int PX>
SRFAST_INLINE void conv2_int(const IntWeights& z, const int16_t* h1, int16_t* h2, int64_t stride) {
  constexpr int block = kLayout.block2;
  const int16_t* w = z.w2;
  for (int c = 0; c < kC2; c += block) {
    Ints acc[PX][block / L];
    start(acc, z.bias2 + c);
    for (int i = 0; i < kC1; i += 2, w += 2 * block) {
      Ints wv[block / L];
      for (int v = 0; v < block / L; ++v) wv[v] = load_ints(w + v * L * 2);
      for (int p = 0; p < PX; ++p) {
        const Ints xv = splat32(h1 + p * kC1 + i);
        for (int v = 0; v < block / L; ++v) dot2_pair(acc[p][v], xv, wv[v]);
      }
    }
    activate(acc, z.shift2 + c, h2 + c, stride);
  }
}

// The h2 row of HR row y, borders included, at the columns that the sink's take part in: every row and column has the
// filter of its class.
template <int S>
SRFAST_INLINE void features_int(const IntWeights& z, const Tables& t, const Scratch& s, int64_t y) {
  int16_t* row = s.h2_int + (y % 5) * s.h2_stride;
  int16_t* h2 = row + kR3 * kC2;
  const int cy = class_of(S, y, t.h);
  const Pixel* lr[8];
  for (int i = 0; i < z.taps; ++i)
    lr[i] = static_cast<const Pixel*>(s.lr_int) + (base_of(cy, S, y, t.h) + z.first[cy] + kUpPad + i) * s.lr_stride +
            kUpPad;
  inside_columns<S>(t, [&](int px, int64_t k0, int64_t k1) __attribute__((always_inline)) {
    const int pair = cy * z.classes + px;
    const int64_t first = z.first[px];
    span(k0, k1, [&](int64_t k, bool six) __attribute__((always_inline)) {
      int16_t* out = h2 + (S * k + px) * kC2;
      if (six) {
        conv1_int<kPx>(z, pair, lr, k + first, s.h1_int);
        conv2_int<kPx>(z, s.h1_int, out, S * kC2);
      } else {
        conv1_int<4>(z, pair, lr, k + first, s.h1_int);
        conv2_int<4>(z, s.h1_int, out, S * kC2);
      }
    });
  });
  border_columns(t, [&](int, int64_t x) __attribute__((always_inline)) {
    for (int i = 0; i < kR1; ++i) {
      const int cx = class_of(S, x + i, t.w);
      conv1_int<1>(z, cy * z.classes + cx, lr, base_of(cx, S, x + i, t.w) + z.first[cx], s.h1_int + i * kC1);
    }
    conv2_int<4>(z, s.h1_int, h2 + x * kC2, kC2);
  });
  replicate_edges(h2, t.w);
}

SRFAST_INLINE void conv3_int(const IntWeights& z, const int16_t* const* rows, int64_t x, float* out) {
  Ints acc[kPx3 / L][L];
  conv3_sums(rows, z.w3, x, acc, [](Ints& sums, Ints a, Ints b) __attribute__((always_inline)) { dot2(sums, a, b); });
  for (int g = 0; g < kPx3 / L; ++g) store(out + x + g * L, __builtin_convertvector(acc[g][0] + z.bias3, Vec) * z.unit);
}

template <int S>
SRFAST_INLINE void score_int(const Packed& k, const IntWeights& z, const Tables& t, const Scratch& s, const Image& p,
                             const Sink& sink) {
  degrade<S>(t, s, p, sink);
  pad_lr(t, s, static_cast<Pixel*>(s.lr_int), kLayout.minus_128 ? 128 : 0);
  if (sink.wants[kBicubicRow]) pad_lr(t, s, s.lr_pad, 0);
  bicubic_rows<S>(k, t, s, sink);
  loss_rows(
      t, s, sink, s.h2_int, [&](int64_t y) __attribute__((always_inline)) { features_int<S>(z, t, s, y); },
      [&](const int16_t* const* rows, int64_t x) __attribute__((always_inline)) { conv3_int(z, rows, x, s.sr); });
}

SRFAST_INLINE void score_plane_int(const Packed& k, const IntWeights& z, const Tables& t, const Scratch& s,
                                   const Image& p, const Sink& sink) {
  if (k.scale == 2)
    score_int<2>(k, z, t, s, p, sink);
  else if (k.scale == 3)
    score_int<3>(k, z, t, s, p, sink);
  else
    score_int<4>(k, z, t, s, p, sink);
}

}  // namespace
}  // namespace SRFAST_ENGINE
}  // namespace srfast

// score_plane_int_NAME and its layout. What has no network and tiny planes go to score_plane_FLOATS.
#define SRFAST_EXPORT_INT_ENGINE(FLOATS, NAME)                                                                      \
  namespace srfast {                                                                                                \
  const IntLayout int_layout_##NAME = engine_int_##NAME::kLayout;                                                   \
  void score_plane_int_##NAME(const Packed& k, const Tables& t, const Scratch& s, const Image& p, const Sink& sink, \
                              bool network) {                                                                       \
    if (!network || engine_int_##NAME::tiny(t)) return score_plane_##FLOATS(k, t, s, p, sink, network);             \
    engine_int_##NAME::score_plane_int(k, *k.integer, t, s, p, sink);                                               \
  }                                                                                                                 \
  }

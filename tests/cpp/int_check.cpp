// Every integer engine against the definition of csrc/cpu/int_weights.h in plain loops, to the bit, over scales, sizes,
// borders and parts of planes. Reads the weights of a network from stdin: int32 scale; float32 w1 b1 w2 b2 w3 b3.
// AVX-VNNI is emulated where the processor has none (vnni_trap.h); AVX-512 VNNI where this is built without it
// (plain_dots.h). Exit code 1: an engine differs, or a sum or an activation leaves its range.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/api.h"
#include "core/bicubic.h"
#include "cpu/scorer.h"
#ifdef SRFAST_X86
#include "vnni_trap.h"
#endif

using namespace srfast;

namespace {

bool failed = false;
int32_t largest1 = 0, largest2 = 0;

void expect(bool ok, const std::string& what) {
  if (!ok) std::printf("%s\n", what.c_str());
  failed |= !ok;
}

template <class T>
std::vector<T> taken(int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  if (std::fread(values.data(), sizeof(T), values.size(), stdin) != values.size()) std::exit(2);
  return values;
}

int class_of(int scale, int64_t i, int64_t n) {
  return static_cast<int>(i < 4 ? scale + i : (i >= n - 4 ? scale + 4 + i - (n - 4) : i % scale));
}

// First LR pixel of the filter of HR position i of n. The windows of the last four count from the LR pixel after the
// last one.
int64_t first_of(const IntNetwork& z, int scale, int64_t i, int64_t n) {
  const int cls = class_of(scale, i, n);
  const int64_t base = cls < scale + 4 ? i / scale : n / scale - (n - i + scale - 1) / scale;
  return base + z.first[cls];
}

int32_t activation(int64_t sum, int32_t shift, int32_t& largest) {
  expect(sum >= INT32_MIN && sum <= INT32_MAX, "a sum leaves 32 bits");
  const int32_t h = std::max(static_cast<int32_t>(sum) >> shift, 0);
  largest = std::max(largest, h);
  expect(h <= 32767, "an activation leaves 15 bits");
  return h;
}

// Squared errors [h, w] of a plane of Y.
std::vector<float> errors(const IntNetwork& z, int scale, int boundary, const std::vector<uint8_t>& y, int64_t h,
                          int64_t w) {
  const int64_t lh = h / scale, lw = w / scale;
  std::vector<uint8_t> lr(static_cast<size_t>(lh * lw));
  imresize_cpu(y.data(), h, w, 1, 1.0 / scale, boundary, kUInt8, lr.data());
  std::vector<int32_t> h2(static_cast<size_t>(h * w * kC2));
  for (int64_t i = 0; i < h; ++i)
    for (int64_t j = 0; j < w; ++j) {
      const int pair = class_of(scale, i, h) * z.classes + class_of(scale, j, w);
      const int64_t top = first_of(z, scale, i, h), left = first_of(z, scale, j, w);
      int32_t h1[kC1];
      for (int c = 0; c < kC1; ++c) {
        int64_t sum = z.bias1[pair * kC1 + c];
        for (int a = 0; a < z.taps; ++a)
          for (int b = 0; b < kTapColumns; ++b) {
            const int weight = z.w1[((pair * kC1 + c) * z.taps + a) * kTapColumns + b];
            if (weight == 0) continue;
            sum += weight * lr[border_index(top + a, lh, boundary) * lw + border_index(left + b, lw, boundary)];
          }
        h1[c] = activation(sum, z.shift1[pair * kC1 + c], largest1);
      }
      for (int c = 0; c < kC2; ++c) {
        int64_t sum = z.bias2[c];
        for (int k = 0; k < kC1; ++k) sum += z.w2[c * kC1 + k] * h1[k];
        h2[(i * w + j) * kC2 + c] = activation(sum, z.shift2[c], largest2);
      }
    }
  std::vector<float> out(static_cast<size_t>(h * w));
  for (int64_t i = 0; i < h; ++i)
    for (int64_t j = 0; j < w; ++j) {
      int64_t sum = z.bias3;
      for (int t = 0; t < 25; ++t) {
        const int64_t u = std::clamp<int64_t>(i + t / 5 - 2, 0, h - 1),
                      v = std::clamp<int64_t>(j + t % 5 - 2, 0, w - 1);
        for (int c = 0; c < kC2; ++c) sum += z.w3[t * kC2 + c] * h2[(u * w + v) * kC2 + c];
      }
      expect(sum >= INT32_MIN && sum <= INT32_MAX, "the last sum leaves 32 bits");
      const volatile float sr = static_cast<float>(sum) * z.unit;
      const float d = sr - static_cast<float>(y[i * w + j]);
      out[i * w + j] = d * d;
    }
  return out;
}

struct Named {
  const char* name;
  ScorePlane* score_plane;
  const IntLayout* layout;
};

void check(const IntNetwork& z, const PackedStorage& storage, int scale, int64_t h, int64_t w, int pattern) {
  std::mt19937 random(static_cast<unsigned>(h * 100 + w + pattern));
  std::vector<uint8_t> y(static_cast<size_t>(h * w));
  for (int64_t i = 0; i < h * w; ++i)
    y[i] =
        static_cast<uint8_t>(pattern == 0 ? random() : (pattern == 1 ? (random() % 2) * 255 : (i % w / 2 % 2) * 255));
  for (int boundary : {0, 1}) {
    const std::vector<float> want = errors(z, scale, boundary, y, h, w);
    TableStorage tables;
    make_tables(scale, h, w, boundary, tables);
    for (const Named& engine : {
#ifdef SRFAST_X86
             Named{"avx2", score_plane_int_avx2, &int_layout_avx2},
             Named{"avxvnni", score_plane_int_avxvnni, &int_layout_avxvnni},
             Named{"avx512", score_plane_int_avx512, &int_layout_avx512},
#elif defined(SRFAST_DOTPROD)
             Named{"dotprod", score_plane_int_dotprod, &int_layout_dotprod},
#endif
         }) {
      // Each trap takes microseconds.
      if (h * w > 12 * 36 && engine.name == std::string("avxvnni")) continue;
      IntWeightsStorage integers;
      lay_out(z, *engine.layout, integers);
      Packed k = storage.packed;
      k.integer = &integers.weights;
      std::vector<float> got(static_cast<size_t>(h * w), -1.0f);
      struct Target {
        std::vector<float>* map;
        int64_t w;
      } target{&got, w};
      const Sink sink{[](void* context, int, int64_t row, const float* values, int64_t n) {
                        const Target& t = *static_cast<Target*>(context);
                        std::memcpy(t.map->data() + row * t.w, values, static_cast<size_t>(n) * sizeof(float));
                      },
                      &target,
                      {true, false, false}};
      ScratchStorage scratch(k, h, w);
      engine.score_plane(k, tables.tables, scratch.scratch, {y.data(), h, w, w, 1}, sink, true);
      expect(got == want, std::string(engine.name) + " differs from the definition at x" + std::to_string(scale) +
                              ", " + std::to_string(h) + " x " + std::to_string(w));
    }
  }
}

}  // namespace

int main() {
#ifdef SRFAST_X86
  trap_vnni();
#endif
  const int scale = taken<int32_t>(1)[0];
  const auto w1 = taken<float>(64 * 81), b1 = taken<float>(64), w2 = taken<float>(32 * 64), b2 = taken<float>(32),
             w3 = taken<float>(32 * 25), b3 = taken<float>(1);
  const SrcnnWeights weights{w1.data(), b1.data(), w2.data(), b2.data(), w3.data(), b3.data()};
  const IntNetwork z = quantize(weights, scale);
  PackedStorage storage;
  pack_weights(weights, scale, storage);
  check(z, storage, scale, 12, 12, 0);
  check(z, storage, scale, 12, 36, 1);
  check(z, storage, scale, 36, 24, 2);
  std::printf("largest activations %d and %d\n", largest1, largest2);
  return failed ? 1 : 0;
}

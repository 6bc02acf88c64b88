#include <atomic>
#include <memory>
#include <stdexcept>

#include "core/api.h"
#include "cpu/scorer.h"
#include "cpu/threads.h"

namespace srfast {

unsigned supported_isas() {
  unsigned mask = 1u << kBaseline;
#ifdef SRFAST_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) mask |= 1u << kAvx2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    mask |= 1u << kAvx512;
#endif
  return mask;
}

bool supports_fast() {
#ifdef SRFAST_X86
  return (supported_isas() >> kAvx512 & 1) && __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

Scorer* make_scorer(const SrcnnWeights& weights, int scale) {
  auto scorer = std::make_unique<Scorer>();
  pack_weights(weights, scale, scorer->storage);
  if (supports_fast()) {
    pack_int_weights(weights, scale, scorer->integer);
    scorer->storage.packed.integer = &scorer->integer.weights;
  }
  return scorer.release();
}

void free_scorer(Scorer* scorer) { delete scorer; }

ScorePlane engine(const ScoreOptions& options) {
  const int isa = options.isa;
  if (isa < 0 || isa > 31 || !(supported_isas() >> isa & 1))
    throw std::invalid_argument("this machine does not run the requested instruction set");
  switch (isa) {
#ifdef SRFAST_X86
    case kAvx2:
      return score_plane_avx2;
    case kAvx512:
      return options.fast && supports_fast() ? score_plane_vnni : score_plane_avx512;
#endif
    default:
      return score_plane_baseline;
  }
}

namespace {

double sum_row(const float* values, int64_t w) {
  double sum[8] = {};
  int64_t x = 0;
  for (; x + 8 <= w; x += 8)
    for (int k = 0; k < 8; ++k) sum[k] += static_cast<double>(values[x + k]);
  for (int k = 0; x < w; ++x, ++k) sum[k] += static_cast<double>(values[x]);
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

struct PatchSums {
  double sum[3] = {};
  static void row(void* context, int kind, int64_t, const float* values, int64_t w) {
    static_cast<PatchSums*>(context)->sum[kind] += sum_row(values, w);
  }
};

}  // namespace

void score_patches_cpu(const Scorer& scorer, const uint8_t* base, const int64_t* offsets, int64_t n, int64_t row_stride,
                       int64_t size_h, int64_t size_w, int channels, const ScoreOptions& options, float* loss,
                       float* bicubic, float* sobel) {
  const Packed& k = scorer.storage.packed;
  const ScorePlane score_plane = engine(options);
  TableStorage tables;
  make_tables(k.scale, size_h, size_w, options.boundary, tables);
  const double area = static_cast<double>(size_h) * static_cast<double>(size_w);
  float* const out[3] = {loss, bicubic, sobel};
  std::atomic<int64_t> next{0};
  run_workers(std::min<int64_t>(options.threads, n), [&] {
    ScratchStorage scratch(k, size_h, size_w);
    for (int64_t i; (i = next.fetch_add(1)) < n;) {
      PatchSums sums;
      const Sink sink{PatchSums::row, &sums, {loss != nullptr, bicubic != nullptr, sobel != nullptr}};
      score_plane(k, tables.tables, scratch.scratch, {base + offsets[i], row_stride, channels}, sink, loss != nullptr);
      for (int kind = 0; kind < 3; ++kind)
        if (out[kind]) out[kind][i] = static_cast<float>(sums.sum[kind] / area);
    }
  });
}

}  // namespace srfast

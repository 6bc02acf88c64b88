#include <atomic>
#include <optional>
#include <stdexcept>

#include "core/api.h"
#include "cpu/pack.h"
#include "cpu/quantize.h"
#include "cpu/sinks.h"
#include "cpu/threads.h"

namespace srfast {

struct Scorer {
  PackedStorage storage;
  QuantizedStorage quantized;
};

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
    quantize(weights, scale, scorer->quantized);
    scorer->storage.packed.quantized = &scorer->quantized.quantized;
  }
  return scorer.release();
}

void free_scorer(Scorer* scorer) { delete scorer; }

namespace {

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

}  // namespace

void score_patches_cpu(const Scorer& scorer, const uint8_t* base, const int64_t* offsets, int64_t n, int64_t row_stride,
                       int64_t size_h, int64_t size_w, int channels, const ScoreOptions& options, float* loss,
                       float* bicubic, float* sobel) {
  const Packed& k = scorer.storage.packed;
  const ScorePlane score_plane = engine(options);
  TableStorage tables;
  make_tables(k, size_h, size_w, options.boundary, tables);
  const double area = static_cast<double>(size_h) * static_cast<double>(size_w);
  float* const out[3] = {loss, bicubic, sobel};
  std::atomic<int64_t> next{0};
  parallel_ranges(std::min<int64_t>(options.threads, n), options.threads, [&](int64_t, int64_t) {
    ScratchStorage scratch(k, tables.tables);
    for (int64_t i; (i = next.fetch_add(1)) < n;) {
      PatchSums sums;
      const Sink sink{PatchSums::row, &sums, {loss != nullptr, bicubic != nullptr, sobel != nullptr}};
      score_plane(k, tables.tables, scratch.scratch, {base + offsets[i], row_stride, channels}, sink, loss != nullptr);
      for (int kind = 0; kind < 3; ++kind)
        if (out[kind]) out[kind][i] = static_cast<float>(sums.sum[kind] / area);
    }
  });
}

void score_dense_cpu(const Scorer& scorer, const uint8_t* image, int64_t h, int64_t w, int64_t row_stride, int channels,
                     const ScoreOptions& options, const int32_t* xs, int64_t nx, const int32_t* ys, int64_t ny,
                     int64_t size, float* loss, float* bicubic, float* sobel) {
  const Packed& k = scorer.storage.packed;
  const ScorePlane score_plane = engine(options);
  TableStorage tables;
  make_tables(k, h, w, options.boundary, tables);
  ScratchStorage scratch(k, tables.tables);
  float* const out[3] = {loss, bicubic, sobel};
  std::optional<WindowMeans> means[3];
  for (int kind = 0; kind < 3; ++kind)
    if (out[kind]) means[kind].emplace(w, xs, nx, ys, ny, size, out[kind]);
  const Sink sink{[](void* context, int kind, int64_t, const float* values, int64_t width) {
                    static_cast<std::optional<WindowMeans>*>(context)[kind]->add_row(values, width);
                  },
                  means,
                  {loss != nullptr, bicubic != nullptr, sobel != nullptr}};
  score_plane(k, tables.tables, scratch.scratch, {image, row_stride, channels}, sink, loss != nullptr);
}

}  // namespace srfast

#include <atomic>
#include <memory>
#ifdef SRFAST_X86
#include <cpuid.h>
#elif defined(SRFAST_DOTPROD) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include "core/api.h"
#include "cpu/scorer.h"
#include "cpu/threads.h"

namespace srfast {

#ifdef SRFAST_X86
namespace {

bool has_avx_vnni() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

}  // namespace
#endif

#ifdef SRFAST_DOTPROD
namespace {

bool has_dotprod() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) >> 20 & 1;  // HWCAP_ASIMDDP
#else
  return true;  // every Apple processor that runs macOS
#endif
}

}  // namespace
#endif

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

const char* integer_kernels(int isa) {
#ifdef SRFAST_X86
  if (isa == kAvx512 && __builtin_cpu_supports("avx512vnni")) return "AVX-512 VNNI";
  if (isa == kAvx2) return has_avx_vnni() ? "AVX-VNNI" : "AVX2";
#endif
#ifdef SRFAST_DOTPROD
  if (isa == kBaseline && has_dotprod()) return "SDOT";
#endif
  (void)isa;
  return "";
}

Engine engine(const ScoreOptions& options) {
  const int isa = options.isa;
  [[maybe_unused]] const bool integers = options.fast && *integer_kernels(isa);
  switch (isa) {
#ifdef SRFAST_X86
    case kAvx2:
      if (integers && has_avx_vnni()) return {score_plane_int_avxvnni, &int_layout_avxvnni};
      if (integers) return {score_plane_int_avx2, &int_layout_avx2};
      return {score_plane_avx2, nullptr};
    case kAvx512:
      if (integers) return {score_plane_int_avx512, &int_layout_avx512};
      return {score_plane_avx512, nullptr};
#endif
#ifdef SRFAST_DOTPROD
    case kBaseline:
      if (integers) return {score_plane_int_dotprod, &int_layout_dotprod};
      return {score_plane_baseline, nullptr};
#endif
    default:
      return {score_plane_baseline, nullptr};
  }
}

Scorer::Scorer(const SrcnnWeights& w, int scale) {
  pack_weights(w, scale, storage_);
  const float* const from[6] = {w.w1, w.b1, w.w2, w.b2, w.w3, w.b3};
  const int sizes[6] = {81 * kC1, kC1, kC1 * kC2, kC2, 25 * kC2, 1};
  for (int i = 0; i < 6; ++i) weights_[i].assign(from[i], from[i] + sizes[i]);
}

const Packed& Scorer::packed(const Engine& engine) const {
  if (!engine.layout) return storage_.packed;
  std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& i : integers_)
    if (i->layout == engine.layout) return i->packed;
  const auto& w = weights_;
  if (integers_.empty())
    network_ =
        quantize({w[0].data(), w[1].data(), w[2].data(), w[3].data(), w[4].data(), w[5].data()}, storage_.packed.scale);
  auto made = std::make_unique<Integers>();
  made->layout = engine.layout;
  lay_out(network_, *engine.layout, made->storage);
  made->packed = storage_.packed;
  made->packed.integer = &made->storage.weights;
  integers_.push_back(std::move(made));
  return integers_.back()->packed;
}

Scorer* make_scorer(const SrcnnWeights& weights, int scale) { return new Scorer(weights, scale); }

void free_scorer(Scorer* scorer) { delete scorer; }

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

void score_patches_cpu(const Scorer& scorer, const Image& patch, const int64_t* offsets, int64_t n,
                       const ScoreOptions& options, float* loss, float* bicubic, float* sobel) {
  const Engine engine_ = engine(options);
  const Packed& k = scorer.packed(engine_);
  TableStorage tables;
  make_tables(k.scale, patch.h, patch.w, options.boundary, tables);
  const double area = static_cast<double>(patch.h) * static_cast<double>(patch.w);
  float* const out[3] = {loss, bicubic, sobel};
  std::atomic<int64_t> next{0};
  pool().run(options.threads, n, [&] {
    ScratchStorage scratch(k, patch.h, patch.w);
    Image one = patch;
    for (int64_t i; (i = next.fetch_add(1)) < n;) {
      PatchSums sums;
      const Sink sink{PatchSums::row, &sums, {loss != nullptr, bicubic != nullptr, sobel != nullptr}};
      one.pixels = patch.pixels + offsets[i];
      engine_.score_plane(k, tables.tables, scratch.scratch, one, sink, loss != nullptr);
      for (int kind = 0; kind < 3; ++kind)
        if (out[kind]) out[kind][i] = static_cast<float>(sums.sum[kind] / area);
    }
  });
}

}  // namespace srfast

// Runs the kernels of degradations over odd sizes, instruction sets and threads, and compares a checksum of all results
// with that of every machine. Built with a sanitizer too (`make sanitize`). Exit code 1: a result was not written, or
// depends on the threads, the instruction set, the compiler or the processor.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "core/api.h"

using namespace srfast;

namespace {
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint64_t kChecksum = 0xcbfbfeaf9bc5c7dc;
std::mt19937 generator(1);               // its words are fixed by the standard
uint64_t checksum = 0xcbf29ce484222325;  // FNV-1a
bool failed = false;

void expect(bool ok, const char* what) {
  if (!ok) std::printf("%s\n", what);
  failed |= !ok;
}

void add(const std::vector<float>& values) {
  for (const float v : values) {
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    checksum = (checksum ^ bits) * 0x100000001b3;
  }
}

void check_degradation() {
  const uint32_t key[4] = {1, 2, 3, 4};
  std::vector<uint32_t> words(3 * 64);
  random_words_cpu(key, 5, 3, words.data());
  for (const auto& [h, w] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 130}, {33, 64}, {70, 91}})
    for (const int64_t planes : {1, 3}) {
      std::vector<uint8_t> bytes(static_cast<size_t>(h * w * planes));
      for (uint8_t& b : bytes) b = static_cast<uint8_t>(generator());
      const size_t n = bytes.size();
      std::vector<float> x(n);
      degrade_planes_cpu({bytes.data(), h, w, w * planes, static_cast<int>(planes)}, x.data());
      const Planes src{x.data(), planes, h, w};
      std::vector<uint8_t> back(n);
      degrade_bytes_cpu(src, back.data());
      expect(back == bytes, "degrade_bytes does not give back the bytes");
      std::vector<std::vector<float>> before;
      for (int isa = kBaseline; isa <= kAvx512; ++isa) {
        if (!(supported_isas() >> isa & 1U)) continue;
        for (const int threads : {1, 3}) {
          std::vector<std::vector<float>> made;
          const auto out = [&](size_t count) { return made.emplace_back(count, kNan).data(); };
          for (const int size : {1, 7, 21}) {
            std::vector<double> kernel(static_cast<size_t>(size * size)), row(static_cast<size_t>(size));
            degrade_kernel_cpu(size == 21 ? kSinc : kPlateau, size, 1.5, 0.7, 0.3, 1.2, kernel.data());
            degrade_row_cpu(kGaussian, size, 2.0, row.data());
            const std::vector<float> k(kernel.begin(), kernel.end()), r(row.begin(), row.end());
            degrade_filter_cpu(src, k.data(), size, size, isa, threads, out(n));
            degrade_separable_cpu(src, r.data(), size, r.data(), size, isa, threads, out(n));
            degrade_unsharp_cpu(src, r.data(), size, 0.5f, 10.0f, isa, threads, out(n));
          }
          for (int filter = kArea; filter <= kNearestExact; ++filter)
            for (const int64_t oh : {int64_t{1}, (h + 2) / 3, 2 * h})
              degrade_resize_cpu(src, filter, filter == kBicubic, 1.7, 2.0, oh, w / 2 + 1, isa, threads,
                                 out(static_cast<size_t>(planes * oh * (w / 2 + 1))));
          for (const bool poisson : {false, true})
            for (const bool gray : {false, true}) {
              degrade_noise_cpu(src, poisson, 3.0f, gray, key, 2, isa, threads, out(n));
              const std::vector<float> noisy = made.back();
              std::copy(x.begin(), x.end(), made.back().begin());
              float* const there = made.back().data();
              degrade_noise_cpu({there, planes, h, w}, poisson, 3.0f, gray, key, 2, isa, threads, there);
              expect(made.back() == noisy, "degrade_noise differs where it is made in place");
            }
          degrade_thick_lines_cpu(src, threads, out(n));
          for (const auto& values : made)
            for (const float v : values) expect(!std::isnan(v), "a degradation left a value out");
          if (before.empty()) before = made;
          expect(made == before, "a degradation depends on the threads or the instruction set");
        }
      }
      for (const auto& values : before) add(values);
    }
}

}  // namespace

int main() {
  check_degradation();
  std::printf("%016llx\n", static_cast<unsigned long long>(checksum));
  expect(checksum == kChecksum, "the results are not those of other machines");
  return failed ? 1 : 0;
}

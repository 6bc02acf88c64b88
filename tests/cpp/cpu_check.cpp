// Runs every CPU kernel over odd sizes, scales, boundaries and instruction sets; built with a sanitizer
// (`make sanitize`), it reports accesses outside arrays, undefined arithmetic and leaks. Inputs and outputs are vectors
// of exactly the promised size, each on its own, so that one byte too many is seen. Exit code 1: a result was not
// written, or depends on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "core/api.h"
#include "cpu/scorer.h"

using namespace srfast;

namespace {
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
std::mt19937 generator(1);
bool failed = false;

void expect(bool ok, const char* what) {
  if (!ok) std::printf("%s\n", what);
  failed |= !ok;
}

std::vector<uint8_t> random_bytes(int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(generator());
  return bytes;
}

std::vector<float> random_floats(int64_t count, float scale) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = normal(generator);
  return values;
}

Grid grid(const std::vector<int32_t>& xs, const std::vector<int32_t>& ys, int64_t size) {
  return {xs.data(), static_cast<int64_t>(xs.size()), ys.data(), static_cast<int64_t>(ys.size()), size};
}

bool finite(const std::vector<float>& values) {
  for (float v : values)
    if (!std::isfinite(v)) return false;
  return true;
}

void check_imresize() {
  for (double scale : {1 / 2.0, 1 / 3.0, 1 / 4.0, 0.07, 0.9, 1.0, 1.6, 2.0, 3.0, 4.0})
    for (int64_t h : {1, 2, 5, 13})
      for (int64_t w : {1, 3, 8, 17})
        for (int channels : {1, 3})
          for (int boundary : {0, 1}) {
            const int64_t size = h * w * channels, out = resized(h, scale) * resized(w, scale) * channels;
            const auto bytes = random_bytes(size);
            std::vector<uint8_t> small(static_cast<size_t>(out));
            imresize_cpu(bytes.data(), h, w, channels, scale, boundary, kUInt8, small.data());
            const auto floats = random_floats(size, 100);
            std::vector<float> result(static_cast<size_t>(out), kNan);
            imresize_cpu(floats.data(), h, w, channels, scale, boundary, kFloat32, result.data());
            expect(finite(result), "imresize left a value unwritten");
            const std::vector<double> doubles(floats.begin(), floats.end());
            std::vector<double> exact(static_cast<size_t>(out));
            imresize_cpu(doubles.data(), h, w, channels, scale, boundary, kFloat64, exact.data());
          }
}

void check_resample() {
  std::vector<std::pair<int64_t, int64_t>> sizes = {{401, 1101}};  // rows of several threads and chunks
  for (int64_t h : {1, 2, 5, 13})
    for (int64_t w : {1, 3, 8, 17, 70}) sizes.emplace_back(h, w);
  for (int scale : {2, 3, 4})
    for (bool up : {false, true})
      for (const auto& [h, w] : sizes)
        for (int boundary : {0, 1}) {
          const auto planes = random_floats(3 * h * w, 100);
          const int64_t out = up ? scale * h * scale * w : resized(h, 1.0 / scale) * resized(w, 1.0 / scale);
          std::vector<float> one(static_cast<size_t>(3 * out), kNan), many(one);
          resample_cpu({planes.data(), 3, h, w}, scale, up, boundary, 1, one.data());
          resample_cpu({planes.data(), 3, h, w}, scale, up, boundary, 4, many.data());
          expect(finite(one) && one == many, "resample depends on the threads, or left a value unwritten");
        }
}

void check_mse() {
  for (int64_t n : {0, 1, 5})
    for (int64_t length : {1, 7, 8, 9, 1003}) {
      const auto a = random_floats(n * length, 10), b = random_floats(n * length, 10);
      std::vector<float> one(static_cast<size_t>(n), kNan), three(one);
      per_sample_mse_cpu(a.data(), b.data(), n, length, 1, one.data());
      per_sample_mse_cpu(a.data(), b.data(), n, length, 3, three.data());
      expect(finite(one) && one == three, "per_sample_mse depends on the threads");
    }
}

struct Case {
  int isa;
  bool fast;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (int isa = 0; isa < 8; ++isa)
    if (supported_isas() >> isa & 1)
      for (bool fast : {false, true}) out.push_back({isa, fast});
  return out;
}

void check_patches(const Scorer& scorer, int64_t h, int64_t w, int channels) {
  constexpr int64_t n = 3;
  const auto bytes = random_bytes(n * h * w * channels);
  const Image patch{bytes.data(), h, w, w * channels, channels};
  const std::vector<int64_t> offsets = {0, h * w * channels, 2 * h * w * channels};
  for (const Case& c : cases())
    for (int boundary : {0, 1}) {
      std::vector<float> first[3];
      for (int threads : {1, 2}) {
        std::vector<float> out[3];
        for (auto& v : out) v.assign(static_cast<size_t>(n), kNan);
        score_patches_cpu(scorer, patch, offsets.data(), n, {boundary, c.isa, c.fast, threads}, out[0].data(),
                          out[1].data(), out[2].data());
        for (int k = 0; k < 3; ++k) {
          expect(finite(out[k]), "score_patches left a score unwritten");
          if (threads == 1) first[k] = out[k];
          expect(out[k] == first[k], "score_patches depends on the threads");
        }
      }
      std::vector<float> loss(static_cast<size_t>(n), kNan);
      score_patches_cpu(scorer, patch, offsets.data(), n, {boundary, c.isa, c.fast, 1}, loss.data(), nullptr, nullptr);
      expect(loss == first[0], "the loss depends on the other scores");
    }
}

void check_windows(const Scorer& scorer, int scale) {
  const int64_t h = 11 * scale + 1, w = 17 * scale + scale - 1, size = 4 * scale;
  const auto image = random_bytes(h * w * 3);
  const std::vector<int32_t> xs = {0, scale, 6 * scale, static_cast<int32_t>(17 * scale - size)};
  const std::vector<int32_t> ys = {0, scale, static_cast<int32_t>(11 * scale - size)};
  for (const Case& c : cases()) {
    std::vector<float> out[3];
    for (auto& v : out) v.assign(xs.size() * ys.size(), kNan);
    score_dense_cpu(scorer, {image.data(), 11 * scale, 17 * scale, w * 3, 3}, {0, c.isa, c.fast, 1}, grid(xs, ys, size),
                    out[0].data(), out[1].data(), out[2].data());
    for (const auto& v : out) expect(finite(v), "score_dense left a score unwritten");
    std::vector<int64_t> offsets;
    for (int32_t y : ys)
      for (int32_t x : xs) offsets.push_back((y * w + x) * 3);
    for (auto& v : out) v.assign(offsets.size(), kNan);
    score_patches_cpu(scorer, {image.data(), size, size, w * 3, 3}, offsets.data(),
                      static_cast<int64_t>(offsets.size()), {0, c.isa, c.fast, 2}, out[0].data(), out[1].data(),
                      out[2].data());
    for (const auto& v : out) expect(finite(v), "score_patches left a window unwritten");
  }
}

// The window means of score_dense from maps that the engine makes of the whole image as one plane, summed in float64
// from left to right and top to bottom.
void whole_image(const Scorer& scorer, const Case& c, int boundary, const Image& image, const std::vector<int32_t>& xs,
                 const std::vector<int32_t>& ys, int64_t size, std::vector<float>* out) {
  const int64_t h = image.h, w = image.w;
  const Engine engine_ = engine({boundary, c.isa, c.fast, 1});
  const Packed& k = scorer.packed(engine_);
  TableStorage tables;
  make_tables(k.scale, h, w, boundary, tables);
  ScratchStorage scratch(k, h, w);
  std::vector<float> maps[3];
  for (auto& map : maps) map.assign(static_cast<size_t>(h * w), kNan);
  const Sink sink{[](void* context, int kind, int64_t y, const float* values, int64_t width) {
                    float* map = static_cast<std::vector<float>*>(context)[kind].data();
                    std::memcpy(map + y * width, values, static_cast<size_t>(width) * sizeof(float));
                  },
                  maps,
                  {true, true, true}};
  engine_.score_plane(k, tables.tables, scratch.scratch, image, sink, true);
  for (int kind = 0; kind < 3; ++kind) {
    std::vector<double> table(static_cast<size_t>((h + 1) * (w + 1)), 0.0);
    for (int64_t y = 0; y < h; ++y) {
      double run = 0;
      for (int64_t x = 0; x < w; ++x) {
        run += static_cast<double>(maps[kind][static_cast<size_t>(y * w + x)]);
        table[static_cast<size_t>((y + 1) * (w + 1) + x + 1)] = table[static_cast<size_t>(y * (w + 1) + x + 1)] + run;
      }
    }
    auto at = [&](int64_t y, int64_t x) { return table[static_cast<size_t>(y * (w + 1) + x)]; };
    for (int32_t y : ys)
      for (int32_t x : xs) {
        const double sum = (at(y + size, x + size) - at(y, x + size)) - (at(y + size, x) - at(y, x));
        out[kind].push_back(static_cast<float>(sum < 0 ? 0.0 : sum / static_cast<double>(size * size)));
      }
  }
}

// Images that score_dense cuts into tiles: every number of threads must give the bits of the whole image.
void check_tiles(const Scorer& scorer, int scale, int64_t lh, int64_t lw, const std::vector<Case>& chosen) {
  const int64_t h = lh * scale, w = lw * scale, size = 6 * scale, row = 3 * (w + 1);
  const auto bytes = random_bytes((h + 1) * row);
  const Image image{bytes.data(), h, w, row, 3};
  std::vector<int32_t> xs, ys;
  for (int64_t x = 0; x + size <= w; x += 5 * scale) xs.push_back(static_cast<int32_t>(x));
  for (int64_t y = 0; y + size <= h; y += 7 * scale) ys.push_back(static_cast<int32_t>(y));
  xs.push_back(static_cast<int32_t>(w - size));
  ys.push_back(static_cast<int32_t>(h - size));
  const Grid at = grid(xs, ys, size);
  for (const Case& c : chosen) {
    const int boundary = c.isa % 2;
    std::vector<float> want[3];
    whole_image(scorer, c, boundary, image, xs, ys, size, want);
    for (int threads : {1, 5}) {
      std::vector<float> out[3];
      for (auto& v : out) v.assign(want[0].size(), kNan);
      score_dense_cpu(scorer, image, {boundary, c.isa, c.fast, threads}, at, out[0].data(), out[1].data(),
                      out[2].data());
      for (int kind = 0; kind < 3; ++kind) expect(out[kind] == want[kind], "score_dense depends on its tiles");
    }
    std::vector<float> loss(want[0].size(), kNan), sobel(loss);
    score_dense_cpu(scorer, image, {boundary, c.isa, c.fast, 3}, at, loss.data(), nullptr, sobel.data());
    expect(loss == want[0] && sobel == want[2], "score_dense depends on the scores requested");
  }
}

void check_scores() {
  for (int scale : {2, 3, 4}) {
    const auto w1 = random_floats(64 * 81, 0.1f), b1 = random_floats(64, 0.01f), w2 = random_floats(32 * 64, 0.1f),
               b2 = random_floats(32, 0.01f), w3 = random_floats(25 * 32, 0.02f), b3 = random_floats(1, 0.01f);
    Scorer* scorer = make_scorer({w1.data(), b1.data(), w2.data(), b2.data(), w3.data(), b3.data()}, scale);
    for (int64_t lh : {1, 2, 3, 6, 16})
      for (int64_t lw : {1, 2, 5, 8, 17, 24}) check_patches(*scorer, lh * scale, lw * scale, lh % 2 ? 3 : 1);
    check_windows(*scorer, scale);
    check_tiles(*scorer, scale, 151 / scale, 60 / scale, cases());
    check_tiles(*scorer, scale, 7, 1590 / scale, cases());
    if (scale == 2) check_tiles(*scorer, scale, 50, 1590 / scale, {cases().back()});
    std::vector<float> none;
    score_patches_cpu(*scorer, {nullptr, 4 * scale, 4 * scale, 3 * 4 * scale, 3}, nullptr, 0, {0, 0, false, 2},
                      none.data(), none.data(), none.data());
    free_scorer(scorer);
  }
}

// Reduced precision of networks with channels that are constant, nearly so, or far from the others in size: nothing may
// leave its range on the way to integers. Each channel of conv1 and conv2 gets a size and a bias of its own.
void check_odd_networks() {
  const float sizes[] = {0, 1e-38f, 1e-12f, 1e-7f, 1, 1e6f, 1e30f}, biases[] = {0, 0.4f, -0.4f, 1e-9f, -1e5f, 1e30f};
  for (int round = 0; round < 12; ++round) {
    const int scale = 2 + round % 3;
    auto w1 = random_floats(64 * 81, 0.05f), w2 = random_floats(32 * 64, 0.1f), w3 = random_floats(25 * 32, 0.02f);
    auto b1 = random_floats(64, 0.01f), b2 = random_floats(32, 0.01f), b3 = random_floats(1, 0.01f);
    auto spoil = [&](std::vector<float>& w, std::vector<float>& b) {
      const size_t taps = w.size() / b.size();
      for (size_t c = 0; c < b.size(); ++c) {
        const float size = round == 0 ? 0 : (generator() % 3 ? 1 : sizes[generator() % 7]);
        for (size_t t = 0; t < taps; ++t) w[c * taps + t] *= size;
        if (generator() % 3 == 0) b[c] = biases[generator() % 6];
      }
    };
    spoil(w1, b1);
    spoil(w2, b2);
    if (round > 6) spoil(w3, b3);
    Scorer* scorer = make_scorer({w1.data(), b1.data(), w2.data(), b2.data(), w3.data(), b3.data()}, scale);
    for (const Case& c : cases())
      if (c.fast) scorer->packed(engine({0, c.isa, true, 1}));
    free_scorer(scorer);
  }
}

// A plain loop over the pairs of one window of Y.
float block_artefacts(const std::vector<uint8_t>& y, int64_t w, int64_t x0, int64_t y0, int64_t size) {
  double sums[2][2] = {}, counts[2][2] = {};
  for (int64_t v = y0; v < y0 + size; ++v)
    for (int64_t u = x0; u < x0 + size; ++u)
      for (int down : {0, 1}) {
        if ((down ? v - y0 : u - x0) == size - 1) continue;
        const int on = ((down ? v : u) + 1) % 8 == 0;
        const int here = y[static_cast<size_t>(v * w + u)];
        const int next = y[static_cast<size_t>((v + down) * w + u + 1 - down)];
        sums[on][down] += std::abs(next - here);
        counts[on][down] += 1;
      }
  const double a = 0.5 * (sums[0][0] / counts[0][0] + sums[0][1] / counts[0][1]);
  const double b = 0.5 * (sums[1][0] / counts[1][0] + sums[1][1] / counts[1][1]);
  return static_cast<float>(100 * std::max(b - a, 0.0) / (b + a + 1));
}

void check_blockiness() {
  for (int64_t h : {9, 21, 40})
    for (int64_t w : {9, 17, 35})
      for (int64_t size : {9, 16})
        for (int step : {1, 5, 30})
          for (int channels : {1, 3}) {
            if (size > h || size > w) continue;
            std::vector<int32_t> xs, ys;
            for (int64_t x = 0; x + size < w; x += step) xs.push_back(static_cast<int32_t>(x));
            for (int64_t y = 0; y + size < h; y += step) ys.push_back(static_cast<int32_t>(y));
            xs.push_back(static_cast<int32_t>(w - size));
            ys.push_back(static_cast<int32_t>(h - size));
            const auto bytes = random_bytes(h * w * channels);
            const Image image{bytes.data(), h, w, w * channels, channels};
            std::vector<float> one(xs.size() * ys.size(), kNan), four(one);
            blockiness_cpu(image, grid(xs, ys, size), 1, one.data());
            blockiness_cpu(image, grid(xs, ys, size), 4, four.data());
            expect(finite(one) && one == four, "blockiness depends on the threads, or left a window unwritten");
            if (channels == 1) {
              for (size_t i = 0; i < ys.size(); ++i)
                for (size_t j = 0; j < xs.size(); ++j)
                  expect(one[i * xs.size() + j] == block_artefacts(bytes, w, xs[j], ys[i], size),
                         "blockiness differs from a plain loop");
            }
          }
  blockiness_cpu({nullptr, 9, 9, 27, 3}, {nullptr, 0, nullptr, 0, 9}, 2, nullptr);
}

void check_suppress() {
  for (int64_t n : {0, 1, 7, 200})
    for (int32_t far : {1, 60, 1000000})
      for (double iou : {0.0, 0.3, 0.9}) {
        std::vector<int32_t> image, x, y, size;
        for (int64_t i = 0; i < n; ++i) {
          image.push_back(static_cast<int32_t>(generator() % 3) * 2);
          x.push_back(static_cast<int32_t>(generator() % static_cast<unsigned>(far)));
          y.push_back(static_cast<int32_t>(generator() % static_cast<unsigned>(far)));
          size.push_back(static_cast<int32_t>(1 + generator() % 40));
        }
        std::vector<uint8_t> keep(static_cast<size_t>(n), 2);
        suppress_cpu(image.data(), x.data(), y.data(), size.data(), n, iou, keep.data());
        for (size_t i = 0; i < keep.size(); ++i) {
          bool free = true;
          for (size_t j = 0; free && j < i; ++j) {
            if (!keep[j] || image[i] != image[j]) continue;
            const int64_t w = std::min<int64_t>(x[i] + size[i], x[j] + size[j]) - std::max(x[i], x[j]);
            const int64_t h = std::min<int64_t>(y[i] + size[i], y[j] + size[j]) - std::max(y[i], y[j]);
            if (w <= 0 || h <= 0) continue;
            const int64_t area = int64_t{size[i]} * size[i] + int64_t{size[j]} * size[j] - w * h;
            free = static_cast<double>(w * h) <= iou * static_cast<double>(area);
          }
          expect(keep[i] == free, "suppress differs from a plain loop");
        }
      }
}

}  // namespace

int main() {
  check_imresize();
  check_resample();
  check_mse();
  check_blockiness();
  check_suppress();
  check_scores();
  check_odd_networks();
  if (!failed) std::puts("every kernel wrote its output and nothing else");
  return failed ? 1 : 0;
}

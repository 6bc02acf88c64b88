#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>

#include "core/api.h"
#include "cpu/scorer.h"
#include "cpu/threads.h"
#include "cpu/windows.h"

namespace srfast {

namespace {

// Of tiles, in pixels: a tile's rows of features (640 bytes a column) stay in the second-level cache. The rows of
// features above and below a band are made twice.
constexpr int64_t kColumns = 1024;
constexpr int64_t kRows = 1024, kSharedRows = 256, kFewestRows = 48;
constexpr int64_t kMapBytes = 48 << 20;  // of the maps of all bands that are worked on

// How an image is cut: `bands` times `stripes` tiles.
struct Cut {
  int64_t h, w, scale, bands, stripes;

  Cut(int64_t h_, int64_t w_, int scale_, int64_t threads) : h(h_), w(w_), scale(scale_) {
    stripes = std::max<int64_t>(1, (w + kColumns / 2) / kColumns);
    int64_t rows = std::min(threads == 1 ? kRows : kSharedRows, kMapBytes / (slots(threads) * 12 * w));
    if (threads > 1) rows = std::min(rows, h * stripes / (4 * threads));  // so that the last tiles end together
    rows = std::max(rows, kFewestRows);
    bands = (h + rows - 1) / rows;
    if (stripes == 1 && bands > 1) bands = (bands + threads - 1) / threads * threads;
    bands = std::min(bands, std::max<int64_t>(1, h / kFewestRows));
  }
  // First row of a band and first column of a stripe, multiples of the scale.
  int64_t y(int64_t band) const { return h / scale * band / bands * scale; }
  int64_t x(int64_t stripe) const { return stripe == stripes ? w : w * stripe / stripes / 48 * 48; }
  // Bands whose maps are in memory at once.
  int64_t slots(int64_t threads) const { return threads == 1 ? 1 : 2 + (threads - 1) / stripes; }
  // A score depends on this many pixels around its own: conv3 and conv1 on 6, these on 2 LR pixels of the up-sampled
  // plane, those on the reach of the down-sampling.
  int64_t halo() const { return (6 + 4 * scale + scale - 1) / scale * scale; }
};

struct Request {
  const Packed& k;
  ScorePlane* score_plane;
  const Image& image;
  int boundary;
  bool wants[3];
};

// Maps of bands, filled tile by tile and handed to the window means in order.
class Bands {
 public:
  Bands(const Request& request, const Cut& cut, std::optional<WindowMeans>* means, int64_t threads)
      : request_(request), cut_(cut), means_(means), slots_(cut.slots(threads)) {
    for (int64_t b = 0; b < cut.bands; ++b) rows_ = std::max(rows_, cut.y(b + 1) - cut.y(b));
    for (int64_t s = 0; s < cut.stripes; ++s) columns_ = std::max(columns_, cut.x(s + 1) - cut.x(s));
    left_.assign(static_cast<size_t>(cut.bands), cut.stripes);
    for (int kind = 0; kind < 3; ++kind)
      if (request.wants[kind]) maps_[kind].reset(new float[static_cast<size_t>(slots_ * rows_ * cut.w)]);
  }

  // What one thread does: adds finished bands to the means, else works on the next tile, until none is left to begin.
  // What the last tiles complete is added by the threads that worked on them.
  void work() {
    std::unique_lock<std::mutex> lock(mutex_, std::defer_lock);
    try {
      const int64_t halo = 2 * cut_.halo();
      TableStorage tables;
      ScratchStorage scratch(request_.k, std::min(cut_.h, rows_ + halo), std::min(cut_.w, columns_ + halo));
      lock.lock();
      while (!failed_ && added() < cut_.bands) {
        if (const int kind = addable(); kind < 3) {
          const int64_t band = added_[kind];
          adding_[kind] = true;
          wake();
          lock.unlock();
          means_[kind]->add_rows(map(kind, band), cut_.w, cut_.y(band + 1) - cut_.y(band));
          lock.lock();
          adding_[kind] = false;
          ++added_[kind];
        } else if (next_ == cut_.bands * cut_.stripes) {
          break;
        } else if (next_ / cut_.stripes < added() + slots_) {
          const int64_t tile = next_++;
          wake();
          lock.unlock();
          score(tile / cut_.stripes, tile % cut_.stripes, tables, scratch.scratch);
          lock.lock();
          --left_[static_cast<size_t>(tile / cut_.stripes)];
        } else {
          ++waiting_;
          changed_.wait(lock, [&] { return to_do(); });
          --waiting_;
        }
      }
      wake();
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      failed_ = true;
      wake();
      throw;
    }
  }

 private:
  struct Target {
    float* map[3];
    int64_t stride, top;
    static void row(void* context, int kind, int64_t y, const float* values, int64_t w) {
      const Target& t = *static_cast<const Target*>(context);
      std::memcpy(t.map[kind] + (y - t.top) * t.stride, values, static_cast<size_t>(w) * sizeof(float));
    }
  };

  float* map(int kind, int64_t band) { return maps_[kind].get() + band % slots_ * rows_ * cut_.w; }

  // Bands that every map has added.
  int64_t added() const {
    int64_t bands = cut_.bands;
    for (int kind = 0; kind < 3; ++kind)
      if (request_.wants[kind]) bands = std::min(bands, added_[kind]);
    return bands;
  }

  // Whether a thread that waits has something to do, be it to end.
  bool to_do() const {
    return failed_ || addable() < 3 || next_ == cut_.bands * cut_.stripes || next_ / cut_.stripes < added() + slots_;
  }

  // Wakes one thread that waits if there is something to do beside what this one does; that one wakes the next.
  void wake() {
    if (waiting_ > 0 && to_do()) changed_.notify_one();
  }

  // A map whose next band is complete and not being added; 3 if there is none.
  int addable() const {
    int kind = 0;
    for (; kind < 3; ++kind)
      if (request_.wants[kind] && !adding_[kind] && added_[kind] < cut_.bands &&
          left_[static_cast<size_t>(added_[kind])] == 0)
        break;
    return kind;
  }

  void score(int64_t band, int64_t stripe, TableStorage& storage, const Scratch& scratch) {
    const int64_t halo = cut_.halo();
    const int64_t y0 = std::max<int64_t>(0, cut_.y(band) - halo), x0 = std::max<int64_t>(0, cut_.x(stripe) - halo);
    const int64_t y1 = std::min(cut_.h, cut_.y(band + 1) + halo), x1 = std::min(cut_.w, cut_.x(stripe + 1) + halo);
    make_tables(request_.k.scale, y1 - y0, x1 - x0, request_.boundary, storage);
    Tables& t = storage.tables;
    t.top = cut_.y(band) - y0;
    t.bottom = cut_.y(band + 1) - y0;
    t.left = cut_.x(stripe) - x0;
    t.right = cut_.x(stripe + 1) - x0;
    Target target{{}, cut_.w, t.top};
    Sink sink{Target::row, &target, {}};
    for (int kind = 0; kind < 3; ++kind)
      if ((sink.wants[kind] = request_.wants[kind])) target.map[kind] = map(kind, band) + cut_.x(stripe);
    const Image& whole = request_.image;
    const Image tile{whole.at(y0, x0), y1 - y0, x1 - x0, whole.row_stride, whole.channels};
    request_.score_plane(request_.k, t, scratch, tile, sink, request_.wants[kLossRow]);
  }

  const Request& request_;
  const Cut& cut_;
  std::optional<WindowMeans>* const means_;
  const int64_t slots_;
  int64_t rows_ = 0, columns_ = 0;    // of the largest tile
  std::unique_ptr<float[]> maps_[3];  // [slots, rows, w], first touched by the threads that fill them
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int64_t> left_;  // tiles of each band that are not finished
  int64_t next_ = 0, added_[3] = {}, waiting_ = 0;
  bool adding_[3] = {}, failed_ = false;
};

// Rows of an image that is one tile, handed on a few at a time.
struct Rows {
  static constexpr int64_t kBatch = 4;
  std::optional<WindowMeans>* means;
  std::vector<float> values[3];
  int64_t count[3] = {};

  static void row(void* context, int kind, int64_t, const float* values, int64_t w) {
    Rows& rows = *static_cast<Rows*>(context);
    std::vector<float>& batch = rows.values[kind];
    batch.resize(static_cast<size_t>(kBatch * w));
    std::memcpy(batch.data() + rows.count[kind] * w, values, static_cast<size_t>(w) * sizeof(float));
    if (++rows.count[kind] == kBatch) rows.flush(kind, w);
  }

  void flush(int kind, int64_t w) {
    means[kind]->add_rows(values[kind].data(), w, count[kind]);
    count[kind] = 0;
  }
};

}  // namespace

void score_dense_cpu(const Scorer& scorer, const Image& image, const ScoreOptions& options, const Grid& windows,
                     float* loss, float* bicubic, float* sobel) {
  const Engine engine_ = engine(options);
  const Packed& k = scorer.packed(engine_);
  const Request request{
      k, engine_.score_plane, image, options.boundary, {loss != nullptr, bicubic != nullptr, sobel != nullptr}};
  float* const out[3] = {loss, bicubic, sobel};
  std::optional<WindowMeans> means[3];
  for (int kind = 0; kind < 3; ++kind)
    if (out[kind]) means[kind].emplace(image.w, windows, out[kind]);
  const int64_t threads = std::max(1, options.threads);
  const Cut cut(image.h, image.w, k.scale, threads);
  if (cut.bands * cut.stripes > 1) {
    Bands bands(request, cut, means, threads);
    pool().run(threads, cut.bands * cut.stripes, [&] { bands.work(); });
    return;
  }
  TableStorage tables;
  make_tables(k.scale, image.h, image.w, options.boundary, tables);
  ScratchStorage scratch(k, image.h, image.w);
  Rows rows{means, {}};
  const Sink sink{Rows::row, &rows, {request.wants[0], request.wants[1], request.wants[2]}};
  request.score_plane(k, tables.tables, scratch.scratch, image, sink, loss != nullptr);
  for (int kind = 0; kind < 3; ++kind)
    if (out[kind]) rows.flush(kind, image.w);
}

}  // namespace srfast

#define SRFAST_ENGINE engine_avx2
#define SRFAST_LANES 8
#include "cpu/score_engine.h"

namespace srfast {

void score_plane_avx2(const Packed& k, const Tables& t, const Scratch& s, const Image& p, const Sink& sink,
                      bool network) {
  engine_avx2::score_plane(k, t, s, p, sink, network);
}

}  // namespace srfast

#define SRFAST_ENGINE engine_avx512
#define SRFAST_LANES 16
#include "cpu/score_engine.h"

namespace srfast {

void score_plane_avx512(const Packed& k, const Tables& t, const Scratch& s, const Image& p, const Sink& sink,
                        bool network) {
  engine_avx512::score_plane(k, t, s, p, sink, network);
}

}  // namespace srfast

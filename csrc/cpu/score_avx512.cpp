#define SRFAST_ENGINE engine_avx512
#define SRFAST_LANES 16
#include "cpu/score_engine.h"

SRFAST_EXPORT_ENGINE(avx512)

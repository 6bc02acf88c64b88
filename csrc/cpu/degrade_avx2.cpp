#define SRFAST_LOOPS degrade_loops_avx2
#define SRFAST_LANES 8
#define SRFAST_PARTS 2
#include "cpu/degrade_loops.h"

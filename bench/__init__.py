"""Benchmarks: every figure is a ratio to a reference timed in the same run.

What is timed is the installed srfast: ``python -m bench.X`` puts the working directory first on ``sys.path``, and the
sources there have no compiled module.
"""

import os
import sys

sys.path[:] = [*(p for p in sys.path if p not in ("", os.getcwd())), os.getcwd()]

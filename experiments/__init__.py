"""What makes the studies, figures, pools and shipped weights of srfast: README.md lists it."""

import os
import sys

sys.path[:] = [*(p for p in sys.path if p not in ("", os.getcwd())), os.getcwd()]

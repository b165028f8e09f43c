"""`python -m fallline` is `fallline`."""

from __future__ import annotations

import sys

from fallline._cli import main

if __name__ == "__main__":
    sys.exit(main())

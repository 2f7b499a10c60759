"""``python -m vmg_backend``: the command ``vmg``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

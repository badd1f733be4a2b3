"""`python -m suite` in tests/benchmarks is `minigen bench`, for use without an installed command."""

import sys

from minigen.cli import main

sys.exit(main(["bench", *sys.argv[1:]]))

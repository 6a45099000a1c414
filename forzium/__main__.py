"""``python -m forzium``: the command line.

Layer: ``forzium.cli``. Nothing else belongs here.
"""

import sys

from forzium.cli import main

if __name__ == "__main__":
    sys.exit(main())

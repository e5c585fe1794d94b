"""`python -m bluref` is the `bluref` command."""

import sys

from bluref.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

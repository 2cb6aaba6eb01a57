"""`python -m pipeline.simbroker`: see `campaign`."""

import sys

from pipeline.simbroker.campaign import main

if __name__ == "__main__":
    sys.exit(main())

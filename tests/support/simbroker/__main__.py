"""`python -m simbroker`: see `campaign`."""

import sys

from simbroker.campaign import main

if __name__ == "__main__":
    sys.exit(main())

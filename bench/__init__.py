"""The benchmark: this pipeline beside others on the same records, on one machine, in one run (see README.md)."""

import logging

for _name in ("aiokafka", "faust", "mode"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # they report every topic that is new or gone as an error

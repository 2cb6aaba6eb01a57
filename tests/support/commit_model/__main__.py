"""Many schedules of the model, one in full, or every ablation."""

import argparse
import sys

from commit_model.ablations import ABLATIONS, count_failures
from commit_model.schedules import campaign, run


def main():
    """The command line; 1 if a schedule of the full design fails, or an ablation goes unnoticed."""
    parser = argparse.ArgumentParser(prog="python -m commit_model", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=10_000, help="schedules to run (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (default 0)")
    parser.add_argument("--seed", type=int, help="run this one and print its trace and failures")
    parser.add_argument("--ablation", choices=list(ABLATIONS), help="with this part taken away")
    parser.add_argument("--ablations", action="store_true", help="every part taken away in turn")
    asked = parser.parse_args()
    changes = ABLATIONS[asked.ablation] if asked.ablation else {}
    if asked.seed is not None:
        broker, failures = run(asked.seed, **changes)
        print(*broker.trace, *failures or ["no failure"], sep="\n")
        return bool(failures)
    if asked.ablations:
        unnoticed = 0
        for part, failed, first, kinds in count_failures(asked.count):
            unnoticed += not failed
            shown = ", ".join(f"{kind}: {number}" for kind, number in kinds.most_common(4))
            print(f"{part:48} {failed:6} of {asked.count} fail (first: {first})  {shown}", flush=True)
        return bool(unnoticed)
    failed = 0
    for seed, failures in campaign(asked.count, asked.first, **changes):
        failed += bool(failures)
        if failures and failed <= 10:
            print(f"seed {seed}:", *failures[:4], sep="\n    ")
    print(f"{failed} of {asked.count} schedules failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

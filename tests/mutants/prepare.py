"""Runs in the copy: makes the mutants, runs the tests once to map functions to tests, and bounds the tests of each.

mutmut's command does all in one; sampling needs the mutants before the run. The lock file pins what is used here.
"""

import json
import os
import sys
from pathlib import Path

import mutmut.__main__ as mutmut

FULL, USED = Path("mutants/all-tests.json"), Path("mutants/mutmut-stats.json")


def main(seconds: float) -> None:
    """seconds: how long the tests of one mutant may take together, as they took unmutated; one test always remains."""
    Path("mutants").mkdir(exist_ok=True)
    if FULL.exists():
        USED.write_text(FULL.read_text())
    os.environ["MUTANT_UNDER_TEST"] = "mutant_generation"
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(1)
    runner = mutmut.PytestRunner()
    runner.prepare_main_test_run()
    mutmut.collect_or_load_stats(runner, apply_config_invalidation=True)
    stats = json.loads(USED.read_text())
    FULL.write_text(json.dumps(stats))
    durations = stats["duration_by_test"]
    for name, tests in stats["tests_by_mangled_function_name"].items():
        left, kept = seconds, []
        for test in sorted(tests, key=lambda test: (durations[test], test)):
            if kept and durations[test] > left:
                break
            left -= durations[test]
            kept.append(test)
        stats["tests_by_mangled_function_name"][name] = kept
    USED.write_text(json.dumps(stats))


main(float(sys.argv[1]))

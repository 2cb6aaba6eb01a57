"""`python -m pipeline.cli`: the console script, where only the interpreter is known (as for child processes)."""

from endocrine.pipeline.cli.main import main

if __name__ == "__main__":
    main()

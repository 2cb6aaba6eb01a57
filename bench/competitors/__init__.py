"""The competitors, each a process of its own: `python -m bench.competitors.NAME JOB`, JOB as JSON.

They do the same fold (`agents.attribution`) on the same topic and write the same changes. Each runs until SIGTERM.
"""

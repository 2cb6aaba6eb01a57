"""Ours: the real worker with the agents named in the job (attribution alone, for throughput)."""

import asyncio
from pathlib import Path

from agents.roster import AGENTS
from bench.contenders.job import read_job
from pipeline.logs import set_up_logs
from pipeline.policy_files import load_policy
from pipeline.runtime.worker.main import Worker, run_worker
from pipeline.runtime.worker.tuning import tune_process
from pipeline.settings import Settings


def main() -> None:
    """Run until SIGTERM."""
    job = read_job()
    set_up_logs()
    settings = Settings(
        bootstrap=job.bootstrap,
        prefix=job.prefix,
        group=job.group,
        partitions=job.partitions,
        data_dir=Path(job.folder),
        build="bench",
    )
    agents = [agent for agent in AGENTS if agent.name in job.agents]
    tune_process()  # as `endocrine worker` does
    raise SystemExit(asyncio.run(run_worker(Worker(settings, agents, load_policy()))))


if __name__ == "__main__":
    main()

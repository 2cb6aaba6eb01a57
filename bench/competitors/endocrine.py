"""Ours: the real worker with the agents named in the job (attribution alone, for throughput)."""

import asyncio
from pathlib import Path

from bench.competitors.job import read_job
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.process.logs import set_up_logs
from endocrine.pipeline.process.policy_files import load_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.worker.main import Worker, run_worker
from endocrine.pipeline.runtime.worker.tuning import tune_process


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
        compression=job.compression,
    )
    agents = [agent for agent in AGENTS if agent.name in job.agents]
    tune_process()  # as `endocrine worker` does
    raise SystemExit(asyncio.run(run_worker(Worker(settings, agents, load_policy()))))


if __name__ == "__main__":
    main()

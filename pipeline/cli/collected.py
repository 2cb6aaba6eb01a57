"""What the commands over a whole history share: a folder for topics, errors as sentences."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka.errors import KafkaError

from endocrine.pipeline.cli.common import broker_error, fail
from endocrine.pipeline.kafka.admin import TopicsError
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.history import HistoryError
from endocrine.pipeline.replay.resume import ResumeError
from endocrine.pipeline.replay.state_files import SnapshotError


@contextmanager
def user_errors(settings: Settings) -> Iterator[None]:
    """Turn errors that a person can do something about into one sentence and exit code 2."""
    try:
        yield
    except (TopicsError, SnapshotError, ResumeError, HistoryError, TimeoutError) as error:
        fail(str(error))
    except (KafkaError, OSError) as error:
        fail(broker_error(settings, error))


@contextmanager
def temp_dir() -> Iterator[Path]:
    """Yield a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="endocrine-replay-") as folder:
        yield Path(folder)

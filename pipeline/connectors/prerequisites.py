"""What every connector needs before it starts: policy, seals, traces, metrics."""

import os
import sys
from typing import NamedTuple

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
from endocrine.pipeline.process.seal_keys import SealKeyError, load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.tracing import TracesUnavailable
from endocrine.pipeline.views.metrics.registry import Metrics
from endocrine.pipeline.views.metrics.serve import serve as metrics_server


class Prerequisites(NamedTuple):
    """What a connector starts with."""

    policy: Policy
    seals: KeyedSeals
    metrics: Metrics | None
    """None: nothing is served."""


def prerequisites(settings: Settings, name: str) -> Prerequisites | None:
    """Return them, with traces of this name started; None where one cannot be used, which stderr says in a line."""
    try:
        policy = load_policy(settings.policy, os.environ)
        seals = load_seals(settings)
        tracing.start(settings, name)
    except (PolicyFileError, SealKeyError, TracesUnavailable) as error:
        print(error, file=sys.stderr)
        return None
    return Prerequisites(policy, seals, metrics_server(settings, [], policy))

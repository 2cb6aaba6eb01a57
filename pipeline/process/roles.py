"""Roles of workers: which agents a process runs, and in which consumer group (architecture, section 6b). Pure.

Whoever waits for a decision waits for few agents, and the others only record. In a process of their own those that
decide have their event loop for themselves. An agent is owned by (agent, partition) whatever the process, so roles
change nothing of the protocol: two processes that ran the same agent would fence each other.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar, get_args

from endocrine.agents.contract import Agent

Role = Literal["all", "decide", "record"]
ROLES: tuple[Role, ...] = get_args(Role)
PARTS: tuple[Role, ...] = ("decide", "record")
"""Roles that together are `all`."""
DECIDING = frozenset(("modulation", "gating", "conversation"))
"""Names of agents that somebody waits for."""
AnyAgent = TypeVar("AnyAgent", bound=Agent)


def agents_of(role: Role, agents: Iterable[AnyAgent]) -> list[AnyAgent]:
    """Return those of the agents that a worker of this role runs."""
    return [agent for agent in agents if role == "all" or (agent.name in DECIDING) == (role == "decide")]


def group_of(role: Role, group: str) -> str:
    """Return the consumer group of the role's workers. group: of the deployment.

    >>> group_of("decide", "endocrine"), group_of("all", "endocrine")
    ('endocrine.decide', 'endocrine')
    """
    return group if role == "all" else f"{group}.{role}"


def groups_of(group: str) -> list[str]:
    """Return the consumer groups that workers of a deployment may be in."""
    return [group_of(role, group) for role in ROLES]


def overlapping(role: Role, group: str) -> Sequence[str]:
    """Return the consumer groups whose workers run agents of this role, too.

    >>> overlapping("decide", "endocrine"), overlapping("all", "endocrine")
    (['endocrine'], ['endocrine.decide', 'endocrine.record'])
    """
    return [group_of(other, group) for other in ROLES if other != role and "all" in (other, role)]

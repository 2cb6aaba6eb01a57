"""All agents, in the order in which they take their turn where order is free (`simulate`)."""

from collections.abc import Mapping

from endocrine.agents.analytics.agent import AGENT as ANALYTICS
from endocrine.agents.attribution.agent import AGENT as ATTRIBUTION
from endocrine.agents.audit.agent import AGENT as AUDIT
from endocrine.agents.bonds.agent import AGENT as BONDS
from endocrine.agents.capture.agent import AGENT as CAPTURE
from endocrine.agents.conflicts.agent import AGENT as CONFLICTS
from endocrine.agents.contract import Agent
from endocrine.agents.conversation.agent import AGENT as CONVERSATION
from endocrine.agents.erasing import ERASERS, erasable
from endocrine.agents.evidence.agent import AGENT as EVIDENCE
from endocrine.agents.feedback.agent import AGENT as FEEDBACK
from endocrine.agents.gating.agent import AGENT as GATING
from endocrine.agents.linkage.agent import AGENT as LINKAGE
from endocrine.agents.meeting.agent import AGENT as MEETING
from endocrine.agents.memory.agent import AGENT as MEMORY
from endocrine.agents.modulation.agent import AGENT as MODULATION
from endocrine.agents.names.agent import AGENT as REGISTRY
from endocrine.agents.reflection.agent import AGENT as REFLECTION
from endocrine.agents.rekeying import ERASURES, movable
from endocrine.agents.suspicion.agent import AGENT as SUSPICION
from endocrine.agents.trust.agent import AGENT as TRUST

AGENTS: tuple[Agent, ...] = tuple(
    erasable(movable(agent))
    for agent in (
        MODULATION,
        GATING,
        FEEDBACK,
        ATTRIBUTION,
        SUSPICION,
        BONDS,
        ANALYTICS,
        CONVERSATION,
        AUDIT,
        TRUST,
        CAPTURE,
        REFLECTION,
        MEMORY,
        CONFLICTS,
        REGISTRY,
        EVIDENCE,
        MEETING,
        LINKAGE,
    )
)

COMMANDED: Mapping[str, str] = {
    agent.name: ERASURES if ERASURES in agent.sources else "commands" for agent in AGENTS if agent.name in ERASERS
}
"""By agent that holds states of subjects: the topic of the commands that end or move one."""

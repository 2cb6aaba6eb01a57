"""All agents, in the order in which they take their turn where order is free (`simulate`)."""

from agents.analytics.agent import AGENT as ANALYTICS
from agents.attribution.agent import AGENT as ATTRIBUTION
from agents.audit.agent import AGENT as AUDIT
from agents.bonds.agent import AGENT as BONDS
from agents.contract import Agent
from agents.conversation.agent import AGENT as CONVERSATION
from agents.feedback.agent import AGENT as FEEDBACK
from agents.gating.agent import AGENT as GATING
from agents.modulation.agent import AGENT as MODULATION
from agents.suspicion.agent import AGENT as SUSPICION

AGENTS: tuple[Agent, ...] = (
    MODULATION,
    GATING,
    FEEDBACK,
    ATTRIBUTION,
    SUSPICION,
    BONDS,
    ANALYTICS,
    CONVERSATION,
    AUDIT,
)

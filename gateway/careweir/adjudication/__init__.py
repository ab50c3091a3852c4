"""What happens after two tools disagree: it is remembered, somebody settles it, others hear."""

from careweir.adjudication.alerts import Alerts, Webhook
from careweir.adjudication.building import Adjudication, build_adjudication
from careweir.adjudication.desk import Desk, Filters
from careweir.adjudication.dispute import Dispute, Event, Side
from careweir.adjudication.memory import Answered, Memory, Seen
from careweir.adjudication.opening import Opener
from careweir.adjudication.policy import AdjudicationPolicy, load_adjudication
from careweir.adjudication.reactions import ReactionCounts
from careweir.adjudication.ruling import Ruling
from careweir.adjudication.score import ScoreCards
from careweir.adjudication.second import Reading, SecondReader

__all__ = [
    "Adjudication",
    "AdjudicationPolicy",
    "Alerts",
    "Answered",
    "Desk",
    "Dispute",
    "Event",
    "Filters",
    "Memory",
    "Opener",
    "ReactionCounts",
    "Reading",
    "Ruling",
    "ScoreCards",
    "SecondReader",
    "Seen",
    "Side",
    "Webhook",
    "build_adjudication",
    "load_adjudication",
]

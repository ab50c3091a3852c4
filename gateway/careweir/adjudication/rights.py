"""Who may hear what a tool said, and who may settle it.

A finding may be heard by those whose grants let them ask for it, a conflict by those in whose queue
it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from careweir.access import Actor, PolicySet
from careweir.access.readers import READERS, reads_record
from careweir.access.scopes import may_ask
from careweir.adjudication.dispute import Dispute
from careweir.adjudication.policy import AdjudicationPolicy, Queue
from careweir.errors import AccessDenied


def may_see(actor: Actor, capability: str, *, site: str | None, policies: PolicySet) -> bool:
    """Could this actor ask this capability at this site, for a purpose that the token carries?"""
    if actor.site is not None and site is not None and actor.site != site:
        return False
    if not may_ask(actor.scopes, capability):
        return False
    return any(
        policies.decide(
            role=actor.role,
            purpose=purpose,
            capability=capability,
            site=site,
            break_glass=actor.break_glass is not None,
        ).effect
        == "permit"
        for purpose in sorted(actor.purposes)
        if purpose in policies.purposes.parents
    )


@dataclass(frozen=True, slots=True)
class Rights:
    """What an actor may know and do of a conflict, by the policies of the moment."""

    policy: AdjudicationPolicy
    policies: Callable[[], PolicySet]

    def sees(self, actor: Actor, dispute: Dispute) -> bool:
        """May this actor know of it: their site, a queue of theirs, and what each tool answered."""
        if actor.site is not None and actor.site != dispute.site:
            return False
        if reads_record(actor):  # they see that, never what: no clinical value
            return True
        return any(self._serves(actor, queue, dispute) for queue in self._queues(dispute))

    def settles(self, actor: Actor, dispute: Dispute) -> bool:
        """May this actor give a verdict, two-person rule aside?"""
        return actor.role not in READERS and self.sees(actor, dispute)

    def needs_another(self, actor: Actor, dispute: Dispute) -> bool:
        """Does policy want somebody else than this asker to settle it?"""
        rule = self.policy.two_people
        both = (rule.overrides and dispute.override) or dispute.severity in rule.severities
        return both and actor.subject in dispute.askers

    def check_settler(self, actor: Actor, dispute: Dispute) -> None:
        """Raises AccessDenied where policy or another's claim wants somebody else."""
        if self.needs_another(actor, dispute):
            raise AccessDenied("who asked cannot settle this one", because=("two people",))
        over = actor.role in self.policy.queue(self.policy.escalate_to).roles
        if dispute.state == "claimed" and dispute.claimed_by != actor.subject and not over:
            raise AccessDenied("somebody else has claimed it", because=("claimed",))

    def _queues(self, dispute: Dispute) -> Iterator[Queue]:
        for name in dict.fromkeys((dispute.queue, dispute.first_queue)):
            yield self.policy.queue(name)

    def _serves(self, actor: Actor, queue: Queue, dispute: Dispute) -> bool:
        if actor.role not in queue.roles:
            return False
        policies = self.policies()
        return queue.sees == "queue" or all(
            may_see(actor, capability, site=dispute.site, policies=policies)
            for capability in dispute.capabilities
        )

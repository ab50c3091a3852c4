"""Feedback: what people did with a card, joined to the answer and the tool that it came from.

What a card was about is remembered for ``KEPT`` (sealed at rest); the verdict goes on the record
with its reason code. The free comment may tell about the patient: it is kept beside the card,
sealed and as long as the card, and never goes on the record.

Source: CDS Hooks 2.0.1, Feedback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
import orjson

from careweir.access import Actor
from careweir.adjudication import ReactionCounts
from careweir.api.cds.call import CallInvalid
from careweir.api.cds.cards import OVERRIDE_REASONS, OVERRIDE_SYSTEM
from careweir.errors import StateUnavailable
from careweir.ledger import Ledger
from careweir.log import log
from careweir.question import Answer
from careweir.state import State
from careweir_kit.strict_json import JsonRefused, decode

CARD: Final = "cds-card"
FEEDBACK: Final = "cds-feedback"
KEPT: Final = timedelta(days=90)
ITEMS_MAX: Final = 100
COMMENT_MAX: Final = 4000


class _Reason(msgspec.Struct):
    code: str | None = None
    system: str | None = None


class _Override(msgspec.Struct):
    reason: _Reason | None = None
    userComment: str | None = None


class _Accepted(msgspec.Struct):
    id: str


class Item(msgspec.Struct):
    """One item as it comes; unknown fields are tolerated."""

    card: str
    outcome: Literal["accepted", "overridden"]
    outcomeTimestamp: str
    acceptedSuggestions: list[_Accepted] = []
    overrideReason: _Override | None = None


class _Body(msgspec.Struct):
    feedback: list[Item]


@dataclass(frozen=True, slots=True)
class Feedback:
    """Remembers cards and takes what is said of them."""

    state: State
    ledger: Ledger
    clock: Callable[[], datetime]
    reactions: ReactionCounts

    async def expect(
        self, answer: Answer, shown: Sequence[Mapping[str, Any]], *, site: str | None
    ) -> None:
        """Remember what each card was about. Without the state store feedback is lost, no card."""
        for card in shown:
            extension = card["extension"]
            body = {
                "inference": answer.id,
                "capability": answer.question.capability,
                "tool": extension.get("org.careweir.tool"),
                "version": next((reply.version for reply in answer.replies
                                 if reply.tool == extension.get("org.careweir.tool")), None),
            }  # fmt: skip
            try:
                await self.state.put_new(
                    CARD, card["uuid"], orjson.dumps(body), site=site,
                    expires_at=self.clock() + KEPT,
                )  # fmt: skip
            except StateUnavailable:
                log.error("card not remembered", inference=answer.id)
                return

    async def take(self, items: Sequence[Item], *, actor: Actor, service: str) -> int:
        """Put on the record what is new; how many items. Raises StateUnavailable."""
        taken = 0
        for item in items:
            card = await self.state.get(CARD, item.card)
            if card is None or actor.site not in (None, card.site):
                continue  # expired, or never ours: nothing is told about which cards there are
            known = orjson.loads(card.body)
            if known["capability"] != service:
                continue
            kept = {"outcome": item.outcome, "comment": _comment(item), "actor": actor.subject}
            put = await self.state.put_new(
                FEEDBACK, _key(item), orjson.dumps(known | kept), site=card.site,
                tags={"outcome": item.outcome} | ({"tool": known["tool"]} if known["tool"] else {}),
                expires_at=card.expires_at,
            )  # fmt: skip
            if put.stored:
                await self.ledger.feedback(
                    actor, inference=known["inference"], tool=known["tool"], card=item.card,
                    outcome=item.outcome, reason=_reason(item),
                )  # fmt: skip
                if known["tool"]:
                    await self.reactions.add(known["tool"], item.outcome, reason=_reason(item),
                                             site=card.site)  # fmt: skip
                taken += 1
        return taken


def read_feedback(body: bytes) -> list[Item]:
    """The items of a feedback body; raises CallInvalid."""
    try:
        decode(body)
        items = msgspec.json.decode(body, type=_Body).feedback
    except (JsonRefused, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CallInvalid("not CDS Hooks feedback: card, outcome, outcomeTimestamp") from None
    if not 0 < len(items) <= ITEMS_MAX:
        raise CallInvalid(f"feedback has 1 to {ITEMS_MAX} items")
    for item in items:
        _check(item)
    return items


def _check(item: Item) -> None:
    try:
        moment = datetime.fromisoformat(item.outcomeTimestamp)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CallInvalid("outcomeTimestamp must be a moment with its time zone")
    if item.outcome == "accepted" and not item.acceptedSuggestions:
        raise CallInvalid("an accepted card names acceptedSuggestions")
    given = item.overrideReason
    if given is not None and given.reason is None and not given.userComment:
        raise CallInvalid("overrideReason needs a reason or a userComment")
    if len(item.card) > 64 or len(_comment(item) or "") > COMMENT_MAX:
        raise CallInvalid(f"a userComment has at most {COMMENT_MAX} characters")


def _key(item: Item) -> str:
    text = f"{item.card}\n{item.outcome}\n{item.outcomeTimestamp}"
    return hashlib.sha256(text.encode()).hexdigest()


def _comment(item: Item) -> str | None:
    return None if item.overrideReason is None else item.overrideReason.userComment


def _reason(item: Item) -> str | None:
    """A reason that we offered; of any other only that there was one."""
    if item.overrideReason is None or item.overrideReason.reason is None:
        return None
    reason = item.overrideReason.reason
    ours = reason.system == OVERRIDE_SYSTEM and reason.code in OVERRIDE_REASONS
    return reason.code if ours else "other"

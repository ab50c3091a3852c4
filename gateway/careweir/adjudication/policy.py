"""``adjudication.yaml``: queues, times, verdicts, alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from careweir.errors import PolicyInvalid
from careweir_fhir.model import Severity
from careweir_kit.strict_yaml import YamlRefused, load_mapping

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
Counts = Literal["prefer", "overruled", "cleared", "none"]


class Queue(BaseModel):
    """Who settles which types; an empty list of types takes the rest."""

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-z][a-z-]{0,39}$")
    title: str
    roles: frozenset[str] = Field(min_length=1)
    sees: Literal["granted", "queue"]
    types: frozenset[str]


class TwoPeople(BaseModel):
    """When somebody else than the asker must settle."""

    model_config = _STRICT

    overrides: bool
    severities: frozenset[Severity]


class Verdict(BaseModel):
    """A verdict and how it counts."""

    model_config = _STRICT

    title: str
    counts: Counts


class AlertRules(BaseModel):
    """Which conflicts others hear of, and where."""

    model_config = _STRICT

    url: str | None
    secret: str
    severities: frozenset[Severity]
    types: frozenset[str]
    attempts_max: int = Field(ge=1, le=50)


class AdjudicationPolicy(BaseModel):
    """The file as a whole; the file says what each field means."""

    model_config = _STRICT

    version: Literal[1]
    remember_h: float = Field(ge=0, le=24 * 30)
    keep_days: int = Field(ge=1)
    queues: tuple[Queue, ...] = Field(min_length=1)
    escalate_to: str
    escalate_after_min: dict[Severity, int]
    two_people: TwoPeople
    verdicts: dict[str, Verdict] = Field(min_length=1)
    verdict_words: dict[str, str] = {}
    alerts: AlertRules

    @model_validator(mode="after")
    def _points_to_what_is_there(self) -> AdjudicationPolicy:
        if self.escalate_to not in {queue.name for queue in self.queues}:
            raise ValueError("escalate_to is no queue")
        if set(self.escalate_after_min) != {"high", "moderate", "low"}:
            raise ValueError("escalate_after_min needs every severity")
        if not set(self.verdict_words.values()) <= set(self.verdicts):
            raise ValueError("verdict_words names an unknown verdict")
        return self

    def queue(self, name: str) -> Queue:
        """A queue by its name; one that is no longer there is the one that is escalated to."""
        by_name = {queue.name: queue for queue in self.queues}
        return by_name.get(name) or by_name[self.escalate_to]

    def queue_of(self, kind: str, *, override: bool) -> Queue:
        """Where a new conflict goes; one of an emergency override goes to the board at once."""
        if override:
            return self.queue(self.escalate_to)
        for queue in self.queues:
            if not queue.types or kind in queue.types:
                return queue
        return self.queue(self.escalate_to)

    def verdict(self, word: str) -> str | None:
        """The verdict that a word means; None for an unknown one."""
        bare = "_".join(word.strip().casefold().replace("-", " ").replace("_", " ").split())
        return bare if bare in self.verdicts else self.verdict_words.get(bare)


def load_adjudication(path: Path) -> AdjudicationPolicy:
    """Read the policy; raises PolicyInvalid with file and place."""
    try:
        value = load_mapping(path.read_text(encoding="utf-8"))
        return AdjudicationPolicy.model_validate(value)
    except YamlRefused as error:
        raise PolicyInvalid(f"{path.name}: {error}") from None
    except (OSError, UnicodeDecodeError):
        raise PolicyInvalid(f"{path.name}: cannot be read") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PolicyInvalid(f"{path.name}: {place or 'policy'}: {first['msg']}") from None

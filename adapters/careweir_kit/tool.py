"""The tool file: one vendor's product at this institution, as data (``policies/tools/*.yaml``)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

Transform = Literal["age_years", "age_band", "year", "postal_3", "shift_dates", "lead_days"]


class Need(BaseModel):
    """What a tool needs of one FHIR resource type; everything else is withheld.

    ``paths`` are element paths below the resource (``valueQuantity``, ``component.code``); an
    element that is named brings its primitive leaves and, for a Coding or Quantity, its coded
    parts. ``codes`` narrows to resources with one of these codes (alias of the system -> codes);
    without it, every known code that the role may send. ``window`` counts back from ``as_of``
    (ISO 8601 duration), ``last`` keeps the newest n for each code.

    ``transforms`` says in which form a path leaves. Once one path says ``shift_dates``, no date of
    this tool leaves unshifted. A tool with shifted dates must work on the intervals between them:
    ``Ask.as_of`` is the true moment, and all dates lie 1 to 365 days too early. Nothing then
    counts as future, and whatever has a greatest age may count as too old.

    ``lead_days`` is for the start of an Appointment alone: how many days before it the booking was
    made, in place of any date.

    ``mask`` says that the tool can read the marks of FHIR for what it asked for and may not have:
    ``dataAbsentReason`` ``masked`` for a value, the data-absent-reason extension for an element
    that R4 requires. They tell the tool that the patient has such a value.
    """

    model_config = _STRICT

    resource: str = Field(pattern=r"^[A-Z][A-Za-z]+$")
    paths: tuple[str, ...] = Field(min_length=1)
    codes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    window: str | None = None
    last: int | None = Field(default=None, ge=1)
    transforms: dict[str, Transform] = Field(default_factory=dict)
    text: bool = False  # free text or attachments are needed, and only these paths carry it
    mask: bool = False  # what rights keep back is marked as masked, not merely absent


class Auth(BaseModel):
    """How the gateway shows who it is; ``secret`` names a secret, it is never in the file.

    ``header`` shows ``prefix`` and the secret in ``header``; ``also`` are further headers and the
    names of their secrets. ``oauth2`` is the client credentials grant: ``token_url`` is absolute,
    or a path below the default endpoint, and the secret is that of ``client_id``. ``aws-sigv4``
    signs each request for ``service`` in ``region``.
    """

    model_config = _STRICT

    kind: Literal["none", "bearer", "header", "oauth2", "aws-sigv4"] = "none"
    secret: str | None = None
    header: str = "Authorization"
    prefix: str = ""
    also: dict[str, str] = Field(default_factory=dict)
    client_id: str | None = None
    token_url: str | None = None
    scope: str | None = None
    service: str | None = None
    region: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The name of every secret."""
        return tuple(name for name in (self.secret, *self.also.values()) if name)


class Simulator(BaseModel):
    """How the demo stands this vendor up on loopback; not read outside the demo and tests."""

    model_config = _STRICT

    brain: str  # which small model answers: see careweir_kit.simulation.brains
    latency_ms: int = Field(default=20, ge=0)


class Tls(BaseModel):
    """Names of PEM files in the secrets folder: another CA than the system's, a client's own."""

    model_config = _STRICT

    ca: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None  # None: in the file of the certificate


class Limits(BaseModel):
    """How much of this tool at once, and when it is left alone: see ``careweir.fanout``."""

    model_config = _STRICT

    concurrent_max: int = Field(default=100, ge=1, le=1000)  # calls at once
    queue_max: int = Field(default=100, ge=0, le=10_000)  # calls that wait; the next is shed
    slow_ms: int | None = Field(default=None, gt=0)  # a slow answer; None: 80 % of deadline_ms
    failures_in_a_row: int = Field(default=10, ge=2)  # open the breaker, however far apart
    # Equal scores for so many different patients in a row raise an alarm; 0: never.
    same_scores_max: int = Field(default=50, ge=0, le=10_000)
    open_s_max: float = Field(default=60.0, ge=1)  # longest time that the breaker stays open


class Pushes(BaseModel):
    """Who may send this tool's results unasked (``POST /v1/tools/{tool}/results``).

    ``senders`` are the subjects of tokens with the role ``vendor``; ``secret`` names the secret
    of signed messages (Standard Webhooks).
    """

    model_config = _STRICT

    senders: tuple[str, ...] = ()
    secret: str | None = None


class Tool(BaseModel):
    """One tool. ``request`` and ``answer`` belong to the adapter, which checks them."""

    model_config = _STRICT

    tool: str = Field(pattern=r"^[a-z][a-z0-9-]*$")  # = file name
    vendor: str
    product: str
    version: str
    adapter: str
    capabilities: tuple[str, ...] = Field(min_length=1)
    mode: Literal["live", "shadow", "fallback"] = "live"
    lifecycle: Literal["draft", "shadow", "canary", "live", "suspended", "retired"] = "live"
    region: str = "local"
    risk_tier: Literal["low", "medium", "high"] = "medium"
    description: str = ""
    endpoints: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # site or "default" -> URLs
    auth: Auth = Auth()
    deadline_ms: int = Field(default=3000, gt=0, le=60_000)
    # With respond-async; None: no longer than otherwise.
    deadline_later_ms: int | None = Field(default=None, gt=0, le=3_600_000)
    late_poll_s: int = Field(default=900, ge=0, le=86_400)  # polled on after the deadline; 0: not
    attempts_max: int = Field(default=1, ge=1, le=5)
    idempotent: Literal["none", "key-header", "natural"] = "none"
    hedge_after_ms: int | None = Field(default=None, gt=0)  # then asked again, where policy allows
    subject_echo: Literal["required", "none"] = "required"
    answer_bytes_max: int = Field(default=1_048_576, gt=0)
    limits: Limits = Limits()
    tls: Tls | None = None
    push: Pushes | None = None  # None: it never sends by itself
    needs: tuple[Need, ...] = ()
    request: dict[str, Any] = Field(default_factory=dict)
    answer: dict[str, Any] = Field(default_factory=dict)
    simulator: Simulator | None = None

    @model_validator(mode="after")
    def _hedged_only_if_recognised(self) -> Tool:
        """A second request must be known as a repeat."""
        if self.hedge_after_ms is not None and self.idempotent == "none":
            raise ValueError("hedge_after_ms needs a tool that recognises repeats (idempotent)")
        return self

    @model_validator(mode="after")
    def _later_is_longer(self) -> Tool:
        """Who waits longer gets no less time."""
        if self.deadline_later_ms is not None and self.deadline_later_ms < self.deadline_ms:
            raise ValueError("deadline_later_ms must not be below deadline_ms")
        return self

    @field_validator("endpoints", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        """A single base URL may stand without a list."""
        if not isinstance(value, dict):
            return value
        return {site: (at,) if isinstance(at, str) else at for site, at in value.items()}

    def endpoints_for(self, site: str | None) -> tuple[str, ...]:
        """Where this tool is for a site, in order of preference; empty when it is in-process."""
        return self.endpoints.get(site or "", self.endpoints.get("default", ()))

"""What the gateway says no with, sorted by who can do something about it.

    GatewayError                      carries an HTTP status and a stable ``code`` (RFC 9457 type)
      CallerError
        NotAuthenticated     401      no token, or one that does not hold
        AccessDenied         403      known, and not allowed: role, purpose, site, consent
          ScopeMissing       403      the token's scopes do not cover it
        NotFound             404      no such thing, or not for this reader
        KeyReused            409      an Idempotency-Key with another body
        KeyInUse             409      its first request is not answered yet
        ConflictSettled      409      a step that the state of a conflict does not allow
        RateExceeded         429      this application asks more often than it may
        UnsupportedMedia     415      a body of a kind that is not read here
        BodyTooLarge         413      above the stated limit
        BodyTooSlow          408      not whole within the stated time
        QuestionInvalid      422      the question or its chart cannot be used
          SubjectMismatch    422      the chart is about somebody else (careweir.minimise)
      DegradedError
        NoToolAnswered       502/503/504  every tool was asked and none gave an answer
        Overloaded           503      shed before anything was recorded or sent
        StateUnavailable     503      what must be remembered for this cannot be now
        ShuttingDown         503      the process ends before the answer was there
        KeysUnavailable      503      the token issuer's keys cannot be had, so nobody is known
      IntegrityError
        AuditUnavailable     503      what cannot be recorded is not sent
          LeaseLost          503      another process may be answering the same question
        AnswerLost           500      begun several times and never brought to an end
        AnswerUnrecorded     503      sent and answered, but what cannot be recorded is not given
        AuditTampered        500      the record does not verify
    PolicyInvalid                     start-up or reload refused; the old policy stays
    ConfigInvalid                     start-up refused: a setting, a tool file, a newer schema

The texts are careweir's own. They name fields and rules, never a caller's values, a patient's
data or a vendor's words.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """A refusal with an HTTP status; ``str(error)`` is the detail and safe to show."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "The gateway failed"

    def __init__(self, detail: str = "", *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.sent = False  # True where something may have been disclosed before this was raised


# --- the caller can mend it -------------------------------------------------------------------


class CallerError(GatewayError):
    """The request itself is what is wrong; repeating it unchanged cannot help.

    ``place`` is where, for who speaks FHIR: FHIRPath, or ``http.`` and the name of a parameter.
    """

    place: str | None = None
    status = 400
    code = "bad_request"
    title = "The request cannot be used"


class NotAuthenticated(CallerError):
    """No token, or one that does not hold."""

    status = 401
    code = "not_authenticated"
    title = "A valid access token is required"


class AccessDenied(CallerError):
    """Known, and not allowed. ``because`` names the rules that decided."""

    status = 403
    code = "access_denied"
    title = "Not allowed"

    def __init__(self, detail: str = "", *, because: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.because = because


class ScopeMissing(AccessDenied):
    """The token's scopes do not cover it. ``scope`` is one that would."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs a scope such as {scope}", because=("scope",))
        self.scope = scope


class NotFound(CallerError):
    """No such thing, or none that this reader may know of."""

    status = 404
    code = "not_found"
    title = "Not found"


class KeyReused(CallerError):
    """An Idempotency-Key that was used with another body."""

    status = 409
    code = "idempotency_key_reused"
    title = "This Idempotency-Key belongs to another request"


class KeyInUse(CallerError):
    """The first request with an Idempotency-Key is still being answered."""

    status = 409
    code = "idempotency_key_in_use"
    title = "The first request with this Idempotency-Key is not answered yet"


class ConflictSettled(CallerError):
    """A step that the state of a conflict between tools does not allow."""

    status = 409
    code = "conflict_settled"
    title = "The conflict is not in a state for this step"


class RateExceeded(CallerError):
    """This application asks more often than it may; nothing else of its request was looked at."""

    status = 429
    code = "rate_exceeded"
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)


class BodyTooLarge(CallerError):
    """The body is above the stated limit."""

    status = 413
    code = "body_too_large"
    title = "The request body is too large"


class BodyTooSlow(CallerError):
    """The body did not arrive whole within the stated time."""

    status = 408
    code = "body_too_slow"
    title = "The request body did not arrive in time"


class UnsupportedMedia(CallerError):
    """A body of a kind that is not read here."""

    status = 415
    code = "unsupported_media"
    title = "This media type is not read here"


class QuestionInvalid(CallerError):
    """The question or its chart cannot be used; ``path`` names the place."""

    status = 422
    code = "question_invalid"
    title = "The question cannot be used"

    def __init__(self, detail: str = "", *, path: str | None = None) -> None:
        super().__init__(detail)
        self.path = path


class Cancelled(CallerError):
    """A question that was to be answered later and that its asker no longer wants answered."""

    status = 410
    code = "cancelled"
    title = "The question was cancelled"


class NotRunning(CallerError):
    """The state of a question does not allow this: it has ended, or it was not given up."""

    status = 409
    code = "not_running"
    title = "The question is not in a state for this"


# --- time may mend it -------------------------------------------------------------------------


class DegradedError(GatewayError):
    """Nothing is wrong with the request; what it needs is not there now."""

    status = 503
    code = "degraded"
    title = "Temporarily not available"


class Overloaded(DegradedError):
    """Shed before anything was recorded or sent."""

    code = "overloaded"
    title = "Too much work at once"


class StateUnavailable(DegradedError):
    """The state store cannot be read or written; only what needs it fails."""

    code = "state_unavailable"
    title = "What must be remembered for this cannot be stored or read now"


class ShuttingDown(DegradedError):
    """The process ends. What was sent for the question is on the record, with its outcome."""

    code = "shutting_down"
    title = "The gateway ends before the answer is there"


class KeysUnavailable(DegradedError):
    """No keys to check a token with: it may well be good, and is worth sending again."""

    code = "keys_unavailable"
    title = "Tokens cannot be checked now"


# --- the record cannot be kept ----------------------------------------------------------------


class IntegrityError(GatewayError):
    """The audit trail cannot do its duty."""


class AuditUnavailable(IntegrityError):
    """The trail cannot be written; nothing is disclosed."""

    status = 503
    code = "audit_unavailable"
    title = "The disclosure cannot be recorded, so nothing was sent"


class LeaseLost(AuditUnavailable):
    """Another process may be answering the same question: this one sends nothing more."""

    code = "lease_lost"
    title = "Another process may be answering this question, so nothing more was sent"


class AnswerLost(IntegrityError):
    """An accepted question that was begun again and again and never answered."""

    code = "answer_lost"
    title = "The question could not be brought to an end"


class AnswerUnrecorded(IntegrityError):
    """Tools have answered, but the outcome cannot be recorded: the answer is not given.

    Every disclosure that was made is on the record; its outcome follows when the trail is back.
    """

    status = 503
    code = "answer_unrecorded"
    title = "The answer could not be recorded, so it is not given"


class AuditTampered(IntegrityError):
    """The trail does not verify."""

    code = "audit_tampered"
    title = "The audit trail does not verify"


# --- start-up and reload ----------------------------------------------------------------------


class PolicyInvalid(Exception):
    """A policy that will not be loaded; the message names file, line and rule."""


class ConfigInvalid(Exception):
    """A configuration that the gateway does not start with."""

"""The audit trail: what was decided, what left, what came back, beyond rewriting."""

from careweir.audit.entry import JSON, Entry, Query, Receipt, Stored
from careweir.audit.keys import AuditKeys
from careweir.audit.opening import open_trail
from careweir.audit.port import AuditTrail
from careweir.audit.report import Problem, Report
from careweir.audit.verify import verify

__all__ = [
    "JSON",
    "AuditKeys",
    "AuditTrail",
    "Entry",
    "Problem",
    "Query",
    "Receipt",
    "Report",
    "Stored",
    "open_trail",
    "verify",
]

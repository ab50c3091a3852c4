"""What can go wrong with a tool, sorted by what the gateway does next.

    VendorError
      VendorUnavailable     connect error, 5xx, dropped stream     retried where safe, then missing
      VendorThrottled       asked to wait (``retry_after_s``)      waits if the deadline allows
      VendorTimedOut        the deadline passed                    missing
      VendorRefused         declined, or our credentials failed    not retried, missing
      VendorProtocolBroken  an answer that is not in its format    not retried, kept as a digest
      WrongPatient          an answer about somebody else          not retried, quarantined, held
    InputsMissing           the chart lacks what the tool cannot do without; nobody is asked
    ToolFileInvalid         a file in ``policies/tools`` that cannot be used; start-up fails

The text of these errors is written by careweir: it never carries a vendor's words or a patient's
values. At a wire boundary always ``raise ... from None``: the cause would carry the payload.
"""

from __future__ import annotations

from typing import ClassVar


class VendorError(Exception):
    """A tool gave no usable answer; ``code`` is stable, ``str(error)`` is safe to show."""

    code: ClassVar[str] = "vendor_error"


class VendorUnavailable(VendorError):
    """No connection, a dropped stream, or the vendor's own fault."""

    code = "vendor_unavailable"


class VendorThrottled(VendorError):
    """The vendor asked to be left alone for a while."""

    code = "vendor_throttled"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class VendorTimedOut(VendorError):
    """The deadline passed before the whole answer was here."""

    code = "vendor_timed_out"


class VendorRefused(VendorError):
    """The vendor declined, or does not accept our credentials."""

    code = "vendor_refused"


class VendorProtocolBroken(VendorError):
    """An answer that is not in the format that the vendor promised."""

    code = "vendor_protocol_broken"


class WrongPatient(VendorError):
    """The answer names no patient, or another one than was asked about."""

    code = "wrong_patient"


class InputsMissing(Exception):
    """The minimised chart lacks inputs that the tool cannot do without; ``names`` says which."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__("required inputs are missing: " + ", ".join(names))
        self.names = names


class ToolFileInvalid(Exception):
    """A tool file or manifest that cannot be used; the message names file and field."""

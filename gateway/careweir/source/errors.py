"""Why a chart could not be pulled; part of the tree in ``careweir.errors``.

    CallerError
      QuestionInvalid
        SourceUnknown       422   no FHIR server of this name, or not one for this site
        ChartTooLarge       422   more than the limits allow: a cut chart is never used
        SubjectMismatch     422   (careweir.minimise) the server answered about somebody else
    DegradedError
      SourceUnavailable     503   no answer, no token, or not the answer that R4 promises

The texts are careweir's own: never a server's words, an address, an id or a value.
"""

from __future__ import annotations

from careweir.errors import DegradedError, QuestionInvalid


class SourceUnknown(QuestionInvalid):
    """The question names a FHIR server that is not configured, or not for this site."""

    code = "source_unknown"
    title = "No such source"

    def __init__(self, detail: str = "no FHIR server is configured under this name") -> None:
        super().__init__(detail, path="source.fhir_server")


class ChartTooLarge(QuestionInvalid):
    """The pull would have to stop before the end; half a chart could mislead, so none is used."""

    code = "chart_too_large"
    title = "The chart is larger than a pull may be"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, path="source")


class SourceUnavailable(DegradedError):
    """The FHIR server gave no chart that can be used."""

    code = "source_unavailable"
    title = "The source of the chart is not available"

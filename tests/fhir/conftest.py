"""Answers that stand for what the gateway gives, and the option to write their golden form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from careweir_fhir.bundle import ResultContext, ToolOutcome, result_bundle
from careweir_fhir.model import (
    ICD10CM,
    LOINC,
    RXNORM,
    SNOMED,
    Coding,
    Conflict,
    Dose,
    Finding,
    Span,
)

GOLDEN = Path(__file__).parent / "golden"
AS_OF = "2026-03-02T08:15:00Z"
SEPSIS = Coding(system=SNOMED, code="91302008", display="Sepsis")
EFFUSION = Coding(system=ICD10CM, code="J90", display="Pleural effusion")
PNEUMOTHORAX = Coding(system=ICD10CM, code="J93.9", display="Pneumothorax")


@dataclass(frozen=True)
class Answer:
    """The input of ``result_bundle``."""

    context: ResultContext
    findings: Sequence[Finding]
    tools: Sequence[ToolOutcome]
    conflicts: Sequence[Conflict] = field(default=())

    def bundle(self) -> dict[str, Any]:
        """Map it."""
        return result_bundle(self.context, self.findings, self.conflicts, self.tools)


def context(capability: str, *, study: str | None = None) -> ResultContext:
    """A question about one synthetic patient."""
    return ResultContext(
        inference="inf_01JQ8Z2M7T",
        capability=capability,
        subject="Patient/123",
        encounter="Encounter/9",
        study=study,
        as_of=AS_OF,
        recorded="2026-03-02T08:15:02Z",
        policy_revision="sha256:2f1c",
    )


ACME = ToolOutcome(
    "acme-sepsis", "Acme", "Sepsis Watch", "4.1.0", "answered", None, "live", ("lactate",)
)
BORA = ToolOutcome("bora-sepsis", "Bora", "Early Signs", "2.0", "answered", None, "live")
NEWS2 = ToolOutcome("news2", "RCP", "NEWS2", "2017", "answered", None, "fallback")
LUNG = ToolOutcome("lung-read", "Lumen", "Lung Read", "1.3", "answered", None, "live")
THORAX = ToolOutcome("thorax-ai", "Thorax", "Reader", "7", "partial", "cut short", "live")


def _complete() -> Answer:
    sepsis = Finding(
        tool="acme-sepsis",
        tool_version="4.1.0",
        kind="risk",
        code=SEPSIS,
        value=0.87,
        unit="1",
        horizon="PT6H",
        threshold_band="high",
        interval=(0.8, 0.93),
        effective=AS_OF,
        confidence=0.91,
        confidence_kind="class_probability",
        explanation=("respiratory rate 28", "systolic pressure 92"),
    )
    second = Finding(
        tool="bora-sepsis",
        kind="risk",
        code=SEPSIS,
        value="high",
        horizon="6h",
        confidence=0.4,
        confidence_kind="vendor_scale",
    )
    lactate = Finding(
        tool="bora-sepsis",
        kind="measurement",
        code=Coding(system=LOINC, code="2524-7", display="Lactate"),
        value=4.0,
        unit="mmol/L",
        effective="2026-03-02T07:55:00+01:00",
        specimen="Specimen/3",
        id="b-17",
    )
    return Answer(context("sepsis-risk"), (sepsis, second, lactate), (ACME, BORA))


def _degraded() -> Answer:
    down = ToolOutcome(
        "acme-sepsis", "Acme", "Sepsis Watch", "4.1.0", "timed_out", "no answer in 1500 ms", "live"
    )
    broken = ToolOutcome(
        "bora-sepsis", "Bora", "Early Signs", "2.0", "protocol_error", None, "live"
    )
    unseen = ToolOutcome("gamma", "Gamma", "Shadow Sepsis", "1", "timed_out", None, "shadow")
    points = Finding(
        tool="news2",
        tool_version="2017",
        kind="measurement",
        code=Coding(display="NEWS2 total"),
        value=8,
        unit="{score}",
        scale="NEWS2",
        threshold_band="high",
        effective=AS_OF,
        explanation=("respiratory rate 28: 3",),
        fallback=True,
    )
    band = points.model_copy(update={"kind": "risk", "value": "high", "unit": None})
    return Answer(context("sepsis-risk"), (band, points), (down, broken, unseen, NEWS2))


def _conflict() -> Answer:
    study = "ImagingStudy/cxr-1"

    def said(tool: str, code: Coding, **more: Any) -> Finding:
        return Finding(tool=tool, kind="assertion", code=code, study=study, effective=AS_OF, **more)

    findings = (
        said(
            "lung-read",
            EFFUSION,
            polarity="present",
            laterality="right",
            body_site="Pleural cavity",
            confidence=0.93,
            confidence_kind="detection",
        ),
        said("lung-read", PNEUMOTHORAX, polarity="absent"),
        said("thorax-ai", EFFUSION, polarity="present", laterality="left", completeness="partial"),
        said("thorax-ai", PNEUMOTHORAX, polarity="present", explanation=("<b>apical</b> line",)),
        said("thorax-ai", Coding(display="Nodule"), polarity="indeterminate", verified=False),
    )
    conflicts = (
        Conflict(
            type="laterality_mismatch",
            between=(0, 2),
            severity="high",
            reason="lung-read says right, thorax-ai says left, of one study",
            rule="laterality.opposite",
        ),
        Conflict(
            type="assertion_contradiction",
            between=(1, 3),
            severity="high",
            reason="lung-read says absent, thorax-ai says present, of one study",
            rule="assertion.opposite",
        ),
    )
    return Answer(context("chest-xray-findings", study=study), findings, (LUNG, THORAX), conflicts)


def _refused() -> Answer:
    withheld = ToolOutcome(
        "acme-sepsis", "Acme", "Sepsis Watch", "4.1.0", "withheld_by_policy", None, "live"
    )
    return Answer(context("sepsis-risk"), (), (withheld,))


def _proposals() -> Answer:
    tool = ToolOutcome("wide-tool", "Wide", "Everything", "3.2", "answered", None, "live")
    silent = ToolOutcome("quiet-tool", "Quiet", "Nothing", "1.0", "answered", None, "live")

    def said(kind: Any, **more: Any) -> Finding:
        return Finding(tool="wide-tool", kind=kind, **more)

    ct = Coding(system=SNOMED, code="169069000", display="CT of chest")
    heparin = Coding(system=RXNORM, code="5224", display="heparin")
    findings = (
        said("recommendation", code=PNEUMOTHORAX, action="order", target=ct),
        said("recommendation", code=PNEUMOTHORAX, action="avoid", target=ct),
        said(
            "recommendation",
            code=PNEUMOTHORAX,
            action="start",
            target=heparin,
            dose=Dose(value=5000, unit="[IU]"),
        ),
        said("triage", code=Coding(display="Urgency"), value=2, scale="ESI", explanation=("pain",)),
        said(
            "document",
            code=Coding(system=LOINC, code="11506-3", display="Progress note"),
            value="Seen on the ward.\nNo fever.",
        ),
        said(
            "coding",
            code=EFFUSION,
            span=Span(start=4, end=12, text="effusion"),
            confidence=0.7,
            confidence_kind="linking",
        ),
        said("assertion", code=SEPSIS, polarity="present", subject_context="family"),
    )
    return Answer(context("symptom-triage"), findings, (tool, silent))


ANSWERS = {
    "complete": _complete,
    "degraded": _degraded,
    "conflict": _conflict,
    "refused": _refused,
    "proposals": _proposals,
}


@pytest.fixture(params=sorted(ANSWERS))
def named_answer(request: pytest.FixtureRequest) -> tuple[str, Answer]:
    """Each representative answer with its name."""
    return request.param, ANSWERS[request.param]()


@pytest.fixture
def answers() -> dict[str, Answer]:
    """Every representative answer by name."""
    return {name: build() for name, build in ANSWERS.items()}

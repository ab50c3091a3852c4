"""From checked output tensors to findings, as the tool file says.

The protocol has no labels: which element means what is known only for the model version that the
tool file names.
"""

from __future__ import annotations

from careweir_adapters.oip_v2.mapping import Answer, LabelOutput, RiskOutput, request_of
from careweir_adapters.oip_v2.wire import InferAnswer, probabilities, strings
from careweir_fhir.model import Finding, Laterality, Polarity
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import risk_finding
from careweir_kit.tool import Tool


def findings_of(
    tool: Tool, mapping: Answer, found: InferAnswer, *, effective: str | None
) -> tuple[Finding, ...]:
    """The findings of every configured output. Raises VendorProtocolBroken."""
    if found.model_name != request_of(tool).model:
        raise VendorProtocolBroken("another model answered")
    if mapping.pin and found.model_version != mapping.model_version:
        raise VendorProtocolBroken("another model version answered than the pinned one")
    findings: list[Finding] = []
    for output in mapping.findings:
        if isinstance(output, RiskOutput):
            findings.append(_risk(tool, output, found, effective))
        else:
            findings.extend(_assertions(tool, output, found, effective))
    return tuple(findings)


def _risk(tool: Tool, output: RiskOutput, found: InferAnswer, effective: str | None) -> Finding:
    values = probabilities(found, output.output)
    if output.index >= len(values):
        raise VendorProtocolBroken("an output has too few elements")
    version, value = found.model_version, values[output.index]
    return risk_finding(tool, output.risk, value, version=version, effective=effective)


def _assertions(
    tool: Tool, output: LabelOutput, found: InferAnswer, effective: str | None
) -> list[Finding]:
    values = probabilities(found, output.output)
    sides = strings(found, output.side_output) if output.side_output else [""] * len(values)
    if len(values) != len(output.labels) or len(sides) != len(values):
        raise VendorProtocolBroken("an output has another number of labels than the tool file")
    findings = []
    for label, value, side in zip(output.labels, values, sides, strict=True):
        polarity, confidence = _polarity(output, value)
        laterality = _side(output, side) if polarity == "present" and label.paired else None
        findings.append(
            Finding(
                tool=tool.tool,
                tool_version=found.model_version or tool.version,
                kind="assertion",
                code=label.code,
                polarity=polarity,
                laterality=laterality,
                confidence=confidence,
                confidence_kind="none" if confidence is None else "class_probability",
                effective=effective,
                verified=True,
            )
        )
    return findings


def _polarity(output: LabelOutput, value: float) -> tuple[Polarity, float | None]:
    """What the probability says, and the probability of the class that is asserted."""
    if not 0 <= value <= 1:
        raise VendorProtocolBroken("a probability lies outside 0 to 1")
    if value >= output.present_from:
        return "present", value
    return (
        ("absent", round(1 - value, 9)) if value < output.absent_below else ("indeterminate", None)
    )


def _side(output: LabelOutput, side: str) -> Laterality | None:
    if output.side_output and side not in output.sides:
        raise VendorProtocolBroken("a side is not one that the tool file knows")
    return output.sides.get(side)

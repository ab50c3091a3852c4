"""CDS Hooks: a hook with its prefetch goes out, cards come in.

Source: HL7/cds-hooks, input/pagecontent/index.md (CDS Hooks 2.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from careweir_adapters.cds_hooks.cards import echoes_of, findings_of
from careweir_adapters.cds_hooks.mapping import (
    Answer,
    Prefetch,
    answer_of,
    at,
    check,
    request_of,
)
from careweir_adapters.cds_hooks.wire import card_of
from careweir_fhir.model import Completeness, Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import json_object, verdict_of_status
from careweir_kit.declared import declared
from careweir_kit.errors import InputsMissing, VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.payload import (
    LOINC,
    codings,
    listed,
    resources,
    standing_observations,
)
from careweir_kit.tool import Tool


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One service call. A prefetch key without a match is null: searched, nothing found.

    Raises InputsMissing when fewer searches have a match than the tool file wants.
    """
    mapping = request_of(tool)
    coded = [(o, _loinc(o)) for o in standing_observations(ask.payload, as_of=ask.as_of)]
    found = {k: _prefetch(wanted, coded, ask, tool) for k, wanted in mapping.prefetch.items()}
    without = tuple(f"{key}: not in the chart" for key, value in found.items() if value is None)
    if len(found) - len(without) < mapping.inputs_min:
        raise InputsMissing(without)

    body = {
        "hook": mapping.hook,
        "hookInstance": str(uuid5(NAMESPACE_URL, f"urn:careweir:attempt:{ask.request_id}")),
        "context": {"userId": mapping.user, "patientId": ask.subject},
        "prefetch": found,
    }
    return VendorRequest(
        "POST",
        f"cds-services/{mapping.service}",
        orjson.dumps(body),
        {"content-type": "application/json", "accept": "application/json"},
        without=without,
    )


def _loinc(observation: Mapping[str, Any]) -> set[str]:
    """The LOINC codes of an Observation and of its components."""
    elements = (observation, *listed(observation.get("component")))
    concepts = (element.get("code") for element in elements if isinstance(element, Mapping))
    pairs = (pair for concept in concepts for pair in codings(concept))
    return {code for system, code in pairs if system == LOINC}


def _prefetch(
    wanted: Prefetch, coded: Sequence[tuple[Mapping[str, Any], set[str]]], ask: Ask, tool: Tool
) -> Mapping[str, Any] | None:
    if wanted.patient:
        return next((declared(p, tool) for p in resources(ask.payload, "Patient")), None)
    matching = (one for one, codes in coded if not codes.isdisjoint(wanted.loinc))
    found = [{"resource": kept} for one in matching if (kept := declared(one, tool)) is not None]
    if not found:
        return None
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": found}


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    if answer.status == 412:
        return Verdict("refused", "the service lacks inputs that it needs")
    verdict = verdict_of_status(answer)
    if verdict.answer_class != "ok":
        return verdict
    try:
        _cards(json_object(answer))
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    return verdict


def _cards(value: dict[str, Any]) -> list[Any]:
    raw_cards = value.get("cards")
    if not isinstance(raw_cards, list):
        raise VendorProtocolBroken("not an answer with cards")
    return raw_cards


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read risks, recommendations and statements from cards. Raises VendorProtocolBroken."""
    return _parsed(tool, json_object(answer), effective=ask.as_of if ask else None)


def _parsed(tool: Tool, value: dict[str, Any], *, effective: str | None) -> Parsed:
    raw_cards = _cards(value)
    mapping = answer_of(tool)
    cards = [(raw, card) for raw in raw_cards if (card := card_of(raw)) is not None]
    if raw_cards and not cards:
        raise VendorProtocolBroken("every card breaks the rules")

    version = _version(mapping, raw_cards)
    findings: list[Finding] = []
    notes = [*_notes(value, raw_cards, cards)]
    notes += version_notes(version, mapping.model_versions) if cards else ()
    for raw, card in cards:
        found = list(findings_of(tool, mapping, raw, card, version, effective))
        if mapping.risk is not None and not any(f.kind == "risk" for f in found):
            notes.append("a card without the configured risk value")
        findings.extend(found)
    completeness: Completeness = "full" if len(cards) == len(raw_cards) else "partial"
    return Parsed(
        findings=marked(findings, completeness),
        echoes=tuple(echoes_of(mapping, value, raw_cards)),
        model_version=version,
        completeness=completeness,
        notes=tuple(notes),
    )


def _notes(value: dict[str, Any], raw_cards: list[Any], cards: list[Any]) -> Iterator[str]:
    if not raw_cards:
        yield "no cards: the service had nothing to say, which is not an absent finding"
    if len(cards) < len(raw_cards):
        yield f"{len(raw_cards) - len(cards)} of {len(raw_cards)} cards break the rules"
    if value.get("systemActions"):
        yield "the service asked for system actions; they are never applied"


def _version(mapping: Answer, raw_cards: list[Any]) -> str | None:
    found = [at(raw, mapping.version_path) for raw in raw_cards if isinstance(raw, dict)]
    versions = {version for version in found if isinstance(version, str)}
    return versions.pop() if len(versions) == 1 else None

"""What stands in an adapter's folder: facts, a page for people, recordings with their outcomes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from careweir_fhir.bundle import FhirInvalid, ResultContext, ToolOutcome, result_bundle
from careweir_fhir.model import Finding
from careweir_kit.conformance.model import Check, Subject
from careweir_kit.conformance.recordings import (
    Recording,
    outcome_of,
    texts,
    tool_of_recordings,
)
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.registry import LoadedAdapter

_HEADING: Final = re.compile(r"^##+ +(.+?) *$", re.M)
_THRESHOLD: Final = re.compile(r"\b(bands|present_from|absent_below|below|low|high)\s*:")


def check_folder(adapter: LoadedAdapter) -> list[Check]:
    """Bronze: names, owners, source, limits, a page, an example tool that can be used."""
    manifest = adapter.manifest
    named = adapter.folder.name == manifest.adapter == adapter.name
    owned = all(owner.strip() for owner in manifest.codeowners) and bool(manifest.source.strip())
    page = _page(adapter)
    return [
        Check("the manifest names its folder", named, manifest.adapter),
        Check("an owner and a source are named", owned, ", ".join(manifest.codeowners)),
        Check("its limits are written down", bool(manifest.limits), f"{len(manifest.limits)}"),
        Check("there is a README", bool(page), f"{len(page.splitlines())} lines"),
        _example_tool(adapter),
    ]


def _example_tool(adapter: LoadedAdapter) -> Check:
    name = "the example tool can be used"
    if adapter.example_tool is None:
        return Check(name, False, "there is no example_tool.yaml")
    try:
        adapter.http.check_tool(adapter.example_tool)
    except ToolFileInvalid as invalid:
        return Check(name, False, str(invalid))
    except Exception as error:
        return Check(name, False, f"check_tool raised {type(error).__name__}")
    return Check(name, True, adapter.example_tool.tool)


def check_golden(subject: Subject, recordings: Sequence[Recording]) -> Check:
    """Bronze: each recording gives exactly what stands in ``golden``, and nothing stands idle."""
    name = "recordings give their golden outcome"
    golden = dict(texts(subject.adapter, "golden"))
    if not recordings:
        return Check(name, False, "there is no recording")
    wrong = []
    for recording in recordings:
        try:
            tool = subject.tool
            if recording.tool is not None:
                tool = tool_of_recordings(subject.adapter, recording.tool)
            seen = outcome_of(subject.adapter, tool, recording)
        except Exception as error:
            wrong.append(f"{recording.name} raised {type(error).__name__}")
            continue
        if recording.name not in golden or json.loads(golden[recording.name]) != seen:
            wrong.append(recording.name)
    wrong += sorted(set(golden) - {recording.name for recording in recordings})
    return Check(name, not wrong, ", ".join(wrong) or f"{len(recordings)} recordings")


def check_fhir(subject: Subject, recordings: Sequence[Recording]) -> Check:
    """Silver: the findings of every recording become a Bundle that R4 allows."""
    name = "golden findings become valid FHIR R4"
    entries, bad = 0, []
    for recording in recordings:
        try:
            outcome = outcome_of(subject.adapter, subject.tool, recording)
        except Exception as error:
            bad.append(f"{recording.name} raised {type(error).__name__}")
            continue
        findings = [Finding.model_validate(one) for one in outcome.get("findings", ())]
        try:
            entries += len(_bundle(subject, findings)["entry"])
        except FhirInvalid as invalid:
            bad.append(f"{recording.name}: {invalid.problems[0].path} {invalid.problems[0].rule}")
    return Check(name, not bad, ", ".join(bad) or f"{entries} resources, none invalid")


def _bundle(subject: Subject, findings: Sequence[Finding]) -> dict[str, Any]:
    tool = subject.tool
    context = ResultContext(
        inference="inf_check",
        capability=tool.capabilities[0],
        subject="Patient/check",
        encounter=None,
        study=None,
        as_of="2026-03-02T08:30:00Z",
        recorded="2026-03-02T08:30:01Z",
        policy_revision="sha256:0",
    )
    asked = ToolOutcome(
        tool.tool, tool.vendor, tool.product, tool.version, "answered", None, tool.mode
    )
    return result_bundle(context, findings, [], [asked])


def check_page(adapter: LoadedAdapter) -> list[Check]:
    """Gold: what fails and how, and where each threshold comes from, in writing."""
    page = _page(adapter)
    headings = {heading.lower() for heading in _HEADING.findall(page)}
    example = adapter.folder.joinpath("example_tool.yaml")
    mapping = example.read_text(encoding="utf-8") if example.is_file() else ""
    left = [name for name, text in (("README.md", page), ("example_tool.yaml", mapping))
            if "CHANGE" in text]  # fmt: skip
    sourced = "Source:" in page and (not _THRESHOLD.search(mapping) or "Source:" in mapping)
    return [
        Check("nothing of the template is left to change", not left, ", ".join(left)),
        Check("the README tells failure modes", "failure modes" in headings,
              "section Failure modes" if "failure modes" in headings else "no such section"),
        Check("format and thresholds name their source", sourced,
              "Source: in README and example_tool.yaml" if sourced else "no Source: line"),
    ]  # fmt: skip


def _page(adapter: LoadedAdapter) -> str:
    file = adapter.folder.joinpath("README.md")
    return file.read_text(encoding="utf-8") if file.is_file() else ""

"""Negative controls: for each conformance check there is a bad adapter that fails it.

Each bad adapter is a good one with one fault put in.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from careweir.rehearse import Rehearsal
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.conformance import Report, check_adapter
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import LoadedAdapter, discover_adapters
from careweir_kit.tool import Tool

GOOD = discover_adapters()["oip_v2"]
SCORE = discover_adapters()["published_score"]
Bad = Callable[[Path], LoadedAdapter]


def with_functions(adapter: LoadedAdapter = GOOD, **functions: Any) -> Bad:
    """The adapter with some of its functions replaced."""
    module = ModuleType(adapter.module.__name__)
    vars(module).update(vars(adapter.module), **functions)
    return lambda _: replace(adapter, module=module)


def with_facts(**facts: Any) -> Bad:
    return lambda _: replace(GOOD, manifest=GOOD.manifest.model_copy(update=facts))


def with_files(change: Callable[[Path], None], adapter: LoadedAdapter = GOOD) -> Bad:
    """The adapter in a folder of which something was changed."""

    def made(where: Path) -> LoadedAdapter:
        folder = where / adapter.name
        shutil.copytree(str(adapter.folder), folder)
        change(folder)
        return replace(adapter, folder=folder)

    return made


def _text(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")

    return change


def _copy(file: str, to: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        shutil.copy(folder / file, folder / to)

    return change


def _only(kind: str) -> Callable[[Path], None]:
    """Keep the cassettes that hold an answer, or those that hold a question."""

    def change(folder: Path) -> None:
        for file in (folder / "cassettes").iterdir():
            if kind not in json.loads(file.read_text(encoding="utf-8")):
                file.unlink()
                (folder / "golden" / file.name).unlink()

    return change


# The good functions, and the faults that are put into them.
classify = GOOD.http.classify_answer
parse = GOOD.http.parse_findings
build = GOOD.http.build_request
compute = SCORE.in_process.compute


def _all_the_same(tool: Tool, answer: VendorAnswer) -> Verdict:
    return classify(tool, answer) if answer.status == 200 else Verdict("bad_request")


def _refuse_tool(tool: Tool) -> None:
    raise ToolFileInvalid("no")


def _shift(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    parsed = parse(tool, ask, answer)
    return replace(parsed, notes=(*parsed.notes, "x"), completeness="partial")


def _lenient(tool: Tool, answer: VendorAnswer) -> Verdict:
    verdict = classify(tool, answer)
    return Verdict("ok") if answer.status == 200 else verdict


def _empty_for_broken(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    try:
        return parse(tool, ask, answer)
    except VendorProtocolBroken:
        return Parsed(())


def _trusting(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    value = json.loads(answer.body)
    assert value["outputs"][0]["data"][1] + 0 is not None
    return parse(tool, ask, answer)


def _half_for_nothing(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """A default where the vendor said nothing."""
    try:
        return parse(tool, ask, answer)
    except VendorProtocolBroken:
        good = b'{"model_name":"readmit30","outputs":[{"name":"proba","shape":[1,2],"datatype":'
        body = good + b'"FP64","data":[0.77,0.23]}]}'
        return parse(tool, ask, VendorAnswer(200, {}, body))


def _quote(tool: Tool, answer: VendorAnswer) -> Verdict:
    return replace(classify(tool, answer), note=answer.body.decode("utf-8", "replace"))


def _chained(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    try:
        return parse(tool, ask, answer)
    except VendorProtocolBroken as error:
        raise VendorProtocolBroken(answer.body.decode("utf-8", "replace")) from error


def _printing(tool: Tool, answer: VendorAnswer) -> Verdict:
    print(answer.body.decode("utf-8", "replace"))
    return classify(tool, answer)


def _echoless(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    return replace(parse(tool, ask, answer), echoes=())


def _whole_chart(tool: Tool, ask: Ask) -> VendorRequest:
    request = build(tool, ask)
    return replace(request, headers={**request.headers, "x-chart": json.dumps(ask.payload)})


def _counted() -> Any:
    calls: list[int] = []

    def built(tool: Tool, ask: Ask) -> VendorRequest:
        calls.append(1)
        return replace(build(tool, ask), path=f"v2/{len(calls)}")

    return built


def _writing(tool: Tool, ask: Ask) -> VendorRequest:
    request = build(tool, ask)
    ask.payload["entry"].append({})  # type: ignore[index]
    return request


def _elsewhere(tool: Tool, ask: Ask) -> VendorRequest:
    return replace(build(tool, ask), path="https://elsewhere.example/infer")


def _indexing(tool: Tool, ask: Ask) -> VendorRequest:
    assert ask.payload["entry"][0]["resource"]["id"]
    return build(tool, ask)


def _impatient(tool: Tool, answer: VendorAnswer) -> Verdict:
    return replace(classify(tool, answer), retry_after_s=None)


def _somebody_elses(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    parsed = parse(tool, ask, answer)
    return replace(
        parsed,
        findings=tuple(f.model_copy(update={"tool": "other"}) for f in parsed.findings),
    )


def _silent(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    return replace(parse(tool, ask, answer), findings=())


def _fault_is_fine(tool: Tool, answer: VendorAnswer) -> Verdict:
    verdict = classify(tool, answer)
    return Verdict("refused", "no") if verdict.answer_class == "protocol_broken" else verdict


def _final(tool: Tool, answer: VendorAnswer) -> Verdict:
    return Verdict("bad_request", "no") if answer.status == 503 else classify(tool, answer)


def _remembering() -> Any:
    seen: list[int] = []

    def classed(tool: Tool, answer: VendorAnswer) -> Verdict:
        verdict = classify(tool, answer)
        if verdict.answer_class != "ok":
            seen.append(1)
        return Verdict("refused", "once bitten") if len(seen) > 3 else verdict

    return classed


def _guess(tool: Tool, ask: Ask) -> Parsed:
    try:
        return compute(tool, ask)
    except InputsMissing:
        return Parsed(())


def _unmarked(tool: Tool, ask: Ask) -> Parsed:
    parsed = compute(tool, ask)
    plain = tuple(f.model_copy(update={"fallback": False}) for f in parsed.findings)
    return replace(parsed, findings=plain)


def _eager(tool: Tool, ask: Ask) -> Parsed:
    for entry in ask.payload.get("entry", ()):
        assert entry["resource"]["resourceType"].strip()
    return compute(tool, ask)


BRONZE: list[tuple[str, Bad]] = [
    ("the manifest names its folder", with_facts(adapter="other")),
    ("an owner and a source are named", with_facts(source=" ")),
    ("its limits are written down", with_facts(limits=())),
    ("there is a README", with_files(lambda folder: (folder / "README.md").unlink())),
    ("the example tool can be used", with_functions(check_tool=_refuse_tool)),
    ("the example tool can be used", lambda _: replace(GOOD, example_tool=None)),
    ("the recordings can be read", with_files(_text("cassettes/ok.json", "{", "["))),
    ("recordings give their golden outcome", with_functions(parse_findings=_shift)),
    (
        "recordings give their golden outcome",
        with_files(_copy("golden/ok.json", "golden/no.json")),
    ),
    ("there is a recorded usable answer", with_files(_only("ask"))),
    (
        "broken bodies are protocol_broken",
        with_functions(classify_answer=_lenient, parse_findings=_empty_for_broken),
    ),
    ("every HTTP status has its class", with_functions(classify_answer=lambda *_: Verdict("ok"))),
    (
        "every HTTP status has its class",
        with_functions(classify_answer=_all_the_same),
    ),
    (
        "one spoiled field: never a crash",
        with_functions(classify_answer=_lenient, parse_findings=_trusting),
    ),
    (
        "one spoiled field: nothing is invented",
        with_functions(classify_answer=_lenient, parse_findings=_half_for_nothing),
    ),
    (
        "one spoiled field: no vendor words in notes, errors, logs",
        with_functions(classify_answer=_quote),
    ),
    (
        "one spoiled field: no vendor words in notes, errors, logs",
        with_functions(classify_answer=_lenient, parse_findings=_chained),
    ),
    (
        "one spoiled field: no vendor words in notes, errors, logs",
        with_functions(classify_answer=_printing),
    ),
    ("no vendor words of an error body", with_functions(classify_answer=_quote)),
    ("the echo of the patient is reported", with_functions(parse_findings=_echoless)),
    ("there is a recorded question that can be asked", with_files(_only("status"))),
    ("only declared inputs leave", with_functions(build_request=_whole_chart)),
    ("asking is a pure function", with_functions(build_request=_counted())),
    ("asking is a pure function", with_functions(build_request=_writing)),
    ("asking is a pure function", with_functions(build_request=_elsewhere)),
    (
        "an empty chart is refused or asked without values",
        with_functions(build_request=_indexing),
    ),
    ("an empty chart is refused", with_functions(SCORE, compute=_guess)),
    (
        "every finding says that it is a fallback, with its source",
        with_functions(SCORE, compute=_unmarked),
    ),
    (
        "one spoiled element: scored or refused, never a crash",
        with_functions(SCORE, compute=_eager),
    ),
]
SILVER: list[tuple[str, Bad]] = [
    ("Retry-After is read in each of its forms", with_functions(classify_answer=_impatient)),
    ("Retry-After is kept, within the deadline", with_functions(classify_answer=_impatient)),
    ("golden findings become valid FHIR R4", with_functions(parse_findings=_somebody_elses)),
    ("the simulator answers over HTTP", with_functions(parse_findings=_silent)),
    (
        "every fault ends as what it is, within its deadline",
        with_functions(classify_answer=_fault_is_fine),
    ),
    ("no word of the server is repeated", with_functions(classify_answer=_quote)),
    ("503 is asked again, once", with_functions(classify_answer=_final)),
]
GOLD: list[tuple[str, Bad]] = [
    (
        "answers spoiled at random: never a crash",
        with_functions(classify_answer=_lenient, parse_findings=_trusting),
    ),
    (
        "answers spoiled at random: nothing is invented",
        with_functions(classify_answer=_lenient, parse_findings=_half_for_nothing),
    ),
    (
        "answers spoiled at random: no vendor words in notes, errors, logs",
        with_functions(classify_answer=_quote),
    ),
    (
        "charts spoiled at random: asked or refused, never a crash",
        with_functions(build_request=_indexing),
    ),
    (
        "charts spoiled at random: scored or refused, never a crash",
        with_functions(SCORE, compute=_eager),
    ),
    (
        "faults in any order leave nothing behind",
        with_functions(classify_answer=_remembering()),
    ),
    (
        "nothing of the template is left to change",
        with_files(_text("README.md", "Speaks", "CHANGE")),
    ),
    (
        "the README tells failure modes",
        with_files(_text("README.md", "## Failure modes", "## Other")),
    ),
    (
        "format and thresholds name their source",
        with_files(_text("example_tool.yaml", "Source:", "From:")),
    ),
]


def _states(report: Report, name: str) -> list[str]:
    return [check.state for check in report.checks if check.name == name]


@pytest.mark.parametrize(
    ("name", "bad"), BRONZE, ids=[f"{n} {i}" for i, (n, _) in enumerate(BRONZE)]
)
def test_a_bad_adapter_fails_each_bronze_check(name: str, bad: Bad, tmp_path: Path) -> None:
    report = check_adapter(bad(tmp_path), up_to="bronze")

    assert _states(report, name) == ["fail"]
    assert (report.tier, report.passed) == (None, False)


@pytest.mark.parametrize(("name", "bad"), SILVER, ids=[name for name, _ in SILVER])
def test_a_bad_adapter_fails_each_silver_check(name: str, bad: Bad, tmp_path: Path) -> None:
    report = check_adapter(bad(tmp_path), call=Rehearsal(), up_to="silver")

    assert _states(report, name) == ["fail"]
    assert report.tier != "silver"


@pytest.mark.parametrize(("name", "bad"), GOLD, ids=[name for name, _ in GOLD])
def test_a_bad_adapter_fails_each_gold_check(name: str, bad: Bad, tmp_path: Path) -> None:
    report = check_adapter(bad(tmp_path), call=Rehearsal())

    assert _states(report, name) == ["fail"]
    assert report.tier != "gold"


def test_no_check_is_without_its_bad_adapter() -> None:
    reports = [check_adapter(one, call=Rehearsal()) for one in (GOOD, SCORE)]

    run = {check.name.partition(" [")[0] for report in reports for check in report.checks}

    assert run <= {name for name, _ in (*BRONZE, *SILVER, *GOLD)}


def test_a_server_that_is_not_there_is_not_a_real_server_that_answers() -> None:
    report = check_adapter(GOOD, call=Rehearsal(), url="http://127.0.0.1:9", up_to="silver")

    assert _states(report, "a real server answers") == ["fail"]
    assert not report.passed


def test_an_exemption_needs_its_reason_and_says_it() -> None:
    exempt = with_facts(limits=(), exemptions={"its limits are written down": "it has none yet"})
    report = check_adapter(exempt(Path()), up_to="bronze")

    (check,) = [check for check in report.checks if check.name == "its limits are written down"]

    assert (check.state, check.exempt) == ("exempt", "it has none yet")
    assert (report.tier, report.as_json()["checks"][2]["reason"]) == ("bronze", "it has none yet")

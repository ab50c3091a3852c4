"""DICOM structured reports: found by pseudonym, read by concept, bound when pushed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from careweir_adapters.dicom_sr.report import _ANSWERS, _SIDES
from careweir_kit.adapter import Parsed, VendorAnswer
from careweir_kit.codes import snomed_well_formed
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.push import Push, Receipt
from careweir_kit.registry import discover_adapters, load_tool
from support import minimised as charts

LOADED = discover_adapters()["dicom_sr"]
SR = LOADED.http
PUSHED = LOADED.push
TOOL = load_tool(Path(str(LOADED.folder.joinpath("example_tool.yaml"))), {LOADED.name: LOADED})
HEADERS = {"content-type": "application/dicom+json"}
STUDY = {"resourceType": "ImagingStudy", "id": "s1", "status": "available"}
NOBODY: tuple[str, ...] = ()
Json = dict[str, Any]


def _value(vr: str, *values: Any) -> Json:
    return {"vr": vr, "Value": list(values)}


def _code(code: str, scheme: str = "SCT", words: str = "words") -> Json:
    return {
        "00080100": _value("SH", code),
        "00080102": _value("SH", scheme),
        "00080104": _value("LO", words),
    }


def _item(kind: str, name: str, scheme: str = "DCM", **more: Any) -> Json:
    return {"0040A040": _value("CS", kind), "0040A043": _value("SQ", _code(name, scheme))} | more


def _coded(
    name: str, value: str, scheme: str = "SCT", below: Any = (), value_scheme: str = "SCT"
) -> Json:
    said = {"0040A168": _value("SQ", _code(value, value_scheme, "Pneumothorax"))}
    return _item("CODE", name, scheme, **said, **_below(*below))


def _below(*children: Json) -> Json:
    return {"0040A730": _value("SQ", *children)} if children else {}


def _number(
    name: str, value: Any, unit: str = "mm", *, scheme: str = "SCT", of: str = "UCUM"
) -> Json:
    measured = {"0040A30A": _value("DS", value), "004008EA": _value("SQ", _code(unit, of))}
    return _item("NUM", name, scheme, **{"0040A300": _value("SQ", measured)})


def _group(*children: Json) -> Json:
    return _item("CONTAINER", "125007", **_below(*children))


FINDING = _coded("121071", "36118008", "DCM")


def _report(*content: Json, **more: Any) -> Json:
    head = {
        "00080016": _value("UI", "1.2.840.10008.5.1.4.1.1.88.33"),
        "00080018": _value("UI", "2.25.1.3"),
        "00080050": _value("SH", "att-01"),
        "00100020": _value("LO", charts.SUBJECT),
    }
    return _item("CONTAINER", "126000", **_below(*content)) | head | more


def _answer(value: Any, status: int = 200) -> VendorAnswer:
    return VendorAnswer(status, HEADERS, json.dumps(value).encode())


def _parse(*content: Json, **more: Any) -> Parsed:
    return SR.parse_findings(TOOL, None, _answer([_report(*content, **more)]))


def test_the_search_asks_by_pseudonym_and_only_for_a_study() -> None:
    request = SR.build_request(TOOL, charts.ask(STUDY))

    assert request.method == "GET"
    assert (
        request.path
        == f"instances?PatientID={charts.SUBJECT}&Modality=SR&SeriesDescription=Chest%20SR"
    )
    with pytest.raises(InputsMissing, match="imaging study"):
        SR.build_request(TOOL, charts.ask())


HIT = {
    "0020000D": _value("UI", "2.25.1"),
    "0020000E": _value("UI", "2.25.2"),
    "00080018": _value("UI", "2.25.3"),
}


def test_what_is_found_is_fetched_by_its_place() -> None:
    verdict = SR.classify_answer(TOOL, _answer([HIT]))

    assert verdict.answer_class == "pending"
    assert verdict.follow_up is not None
    assert verdict.follow_up.path == "studies/2.25.1/series/2.25.2/instances/2.25.3/metadata"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (_answer([_report(_group(FINDING))]), "ok"),
        (_answer(_report(_group(FINDING))), "ok"),
        (_answer([]), "pending"),
        (VendorAnswer(204, {}, b""), "pending"),
        (_answer([HIT, HIT]), "bad_request"),
        (_answer([HIT | {"0020000D": _value("UI", "../x")}]), "protocol_broken"),
        (_answer([HIT | {"0020000D": {"vr": "UI"}}]), "protocol_broken"),
        (_answer([_report(_group(FINDING)), _report(_group(FINDING))]), "protocol_broken"),
        (_answer([_report()]), "protocol_broken"),
        (
            _answer([_report(_group(FINDING), **{"00080016": _value("UI", "1.2.3")})]),
            "protocol_broken",
        ),
        (_answer([_report(_group(FINDING), **{"0040A491": _value("CS", "PARTIAL")})]), "partial"),
        (_answer([_report(_group())]), "partial"),
        (_answer([1]), "protocol_broken"),
        (_answer([{}]), "protocol_broken"),
        (_answer([_report(_group(FINDING))], status=503), "vendor_fault"),
    ],
)
def test_each_answer_has_its_class(answer: VendorAnswer, outcome: str) -> None:
    assert SR.classify_answer(TOOL, answer).answer_class == outcome


def test_a_group_is_one_lesion_with_side_site_numbers_and_identity() -> None:
    site = _coded("363698007", "39607008", below=[_coded("272741003", "7771000")])
    tracking = _item("UIDREF", "112040") | {"0040A124": _value("UI", "2.25.9")}
    version = _item("TEXT", "111003") | {"0040A160": _value("UT", "1.4.0")}
    found, size = _parse(
        _group(tracking, FINDING, site, version, _number("81827009", "8.5"))
    ).findings

    assert (found.code.code, found.polarity, found.laterality) == ("36118008", "present", "left")
    assert getattr(found.body_site, "code", None) == "39607008"
    assert (found.id, found.tool_version, found.verified) == ("2.25.9", "1.4.0", True)
    assert (size.kind, size.value, size.unit, size.laterality) == ("measurement", 8.5, "mm", "left")
    assert size.code.code == "81827009"


@pytest.mark.parametrize(("value", "unit", "expected"), [("94", "%", 0.94), (0.94, "1", 0.94)])
def test_a_certainty_is_divided_only_where_it_is_per_cent(
    value: Any, unit: str, expected: float
) -> None:
    (found,) = _parse(_group(FINDING, _number("111012", value, unit, scheme="DCM"))).findings

    assert (found.confidence, found.confidence_kind) == (expected, "class_probability")


@pytest.mark.parametrize(("value", "unit"), [("94", "1"), ("140", "%"), ("0.9", "mm"), ("x", "%")])
def test_a_certainty_that_is_none_is_held(value: str, unit: str) -> None:
    parsed = _parse(_group(FINDING, _number("111012", value, unit, scheme="DCM")))

    assert (parsed.findings[0].confidence, parsed.completeness) == (None, "partial")


def test_a_probability_of_cancer_is_a_risk_of_its_own() -> None:
    found, risk = _parse(_group(FINDING, _number("111047", "12.5", "%", scheme="DCM"))).findings

    assert found.confidence is None
    assert (risk.kind, risk.value, risk.unit) == ("risk", 0.125, "1")


def test_a_number_without_a_ucum_unit_is_held() -> None:
    parsed = _parse(_group(FINDING, _number("81827009", "8", of="99ACME")))

    assert len(parsed.findings) == 1
    assert parsed.completeness == "partial"


@pytest.mark.parametrize(
    ("code", "polarity"),
    [
        ("52101004", "present"),
        ("2667000", "absent"),
        ("260385009", "absent"),
        ("42425007", "indeterminate"),
    ],
)
def test_an_evaluation_says_whether_something_is_there(code: str, polarity: str) -> None:
    answers = _item("CONTAINER", "C0034375", "UMLS", **_below(_coded("60046008", code)))
    (found,) = _parse(answers).findings

    assert (found.code.code, found.polarity) == ("60046008", polarity)


def test_any_other_evaluation_is_held() -> None:
    parsed = _parse(_group(FINDING, _coded("112020", "129735003", "DCM")))

    assert [one.code.code for one in parsed.findings] == ["36118008"]
    assert parsed.completeness == "partial"


def test_a_private_code_is_of_no_standard_and_a_retired_one_is_what_it_is() -> None:
    private = _coded("121071", "36118008", "DCM", value_scheme="99ACME")
    retired = _coded("121071", "T-28000", "DCM", value_scheme="SRT")
    first, second = _parse(_group(private), _group(retired)).findings

    assert first.code.system == "urn:careweir:local:example-sr-reader"
    assert second.code.system == "http://snomed.info/srt"
    assert (first.verified, second.verified) == (False, False)


def test_status_time_and_patient_come_from_the_head() -> None:
    times = {"00080023": _value("DA", "20260302"), "00080033": _value("TM", "081500.12")}
    flags = {"0040A493": _value("CS", "UNVERIFIED")}
    parsed = _parse(_group(FINDING), **times, **flags, **{"00080201": _value("SH", "+0100")})

    assert parsed.echoes == (charts.SUBJECT,)
    assert parsed.findings[0].status == "preliminary"
    assert parsed.findings[0].effective == "2026-03-02T08:15:00+01:00"
    assert _parse(_group(FINDING), **times).findings[0].effective == "2026-03-02"
    assert _parse(_group(FINDING), **{"00100020": {"vr": "LO"}}).echoes == NOBODY


def test_a_push_is_bound_by_accession_number_and_instance() -> None:
    assert PUSHED is not None
    pushed = PUSHED.parse_push(TOOL, Push(HEADERS, json.dumps([_report(_group(FINDING))]).encode()))

    assert (pushed.binding.message_id, pushed.binding.request_id) == ("2.25.1.3", "att-01")
    assert pushed.parsed.echoes == (charts.SUBJECT,)


def test_a_push_without_its_instance_is_refused() -> None:
    assert PUSHED is not None
    report = _report(_group(FINDING), **{"00080018": {"vr": "UI"}})
    with pytest.raises(VendorProtocolBroken, match="instance"):
        PUSHED.parse_push(TOOL, Push(HEADERS, json.dumps(report).encode()))
    with pytest.raises(VendorProtocolBroken, match="content type"):
        PUSHED.parse_push(TOOL, Push({"content-type": "text/html"}, b"[]"))


@pytest.mark.parametrize("receipt", get_args(Receipt))
def test_the_reply_is_that_of_a_store(receipt: Receipt) -> None:
    assert PUSHED is not None
    reply = PUSHED.acknowledge(TOOL, Push(HEADERS, json.dumps([_report()]).encode()), receipt)
    tag = "00081199" if receipt == "accepted" else "00081198"

    (item,) = json.loads(reply.body)[tag]["Value"]
    assert item["00081155"]["Value"] == ["2.25.1.3"]
    assert ("00081197" in item) is (receipt != "accepted")
    broken = PUSHED.acknowledge(TOOL, Push(HEADERS, b"CANARY"), receipt)
    assert (broken.status, b"CANARY" in broken.body) == (400, False)


def test_the_codes_of_the_tables_have_their_check_digit() -> None:
    assert all(map(snomed_well_formed, (*_ANSWERS, *_SIDES)))


@pytest.mark.parametrize("name", ["PatientID", "Modality", "series&x", ""])
def test_a_filter_that_is_no_attribute_is_refused(name: str) -> None:
    with pytest.raises(ToolFileInvalid, match="filters"):
        SR.check_tool(TOOL.model_copy(update={"request": {"filters": {name: "x"}}}))

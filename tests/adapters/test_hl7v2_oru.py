"""HL7 v2 results: read by the message's own delimiters, bound, and answered with an ACK."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, get_args

import pytest

from careweir_adapters.hl7v2_oru.er7 import escaped, read
from careweir_adapters.hl7v2_oru.times import moment_of
from careweir_adapters.hl7v2_oru.vocabulary import ANSWERS, SIDES
from careweir_fhir.model import Finding
from careweir_kit.adapter import Parsed, VendorAnswer
from careweir_kit.codes import snomed_well_formed
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.push import Push, Receipt
from careweir_kit.registry import discover_adapters, load_tool
from support import minimised as charts

LOADED = discover_adapters()["hl7v2_oru"]
HL7 = LOADED.http
PUSHED = LOADED.push
TOOL = load_tool(Path(str(LOADED.folder.joinpath("example_tool.yaml"))), {"hl7v2_oru": LOADED})
HEADERS = {"content-type": "application/hl7-v2"}
MSH = r"MSH|^~\&|EXAMPLE|LAB|GW|HOSP|20260302083000+0100||ORU^R01^ORU_R01|M7|P|2.5.1"
PID = f"PID|1||{charts.SUBJECT}^^^CAREWEIR^PI"
OBR = "OBR|1|att-01|F9|24627-2^CT chest^LN|||20260302081500"
PNEUMOTHORAX = "36118008^Pneumothorax^SCT"


def _obx(kind: str, value: str, **more: str) -> str:
    """One OBX; fields by number as ``f8``."""
    fields = {1: "1", 2: kind, 3: "18782-3^Observation^LN", 4: "1", 5: value, 11: "F"}
    fields |= {int(name[1:]): text for name, text in more.items()}
    return "|".join(["OBX", *(fields.get(at, "") for at in range(1, max(fields) + 1))])


def _body(*rows: str, head: str = MSH, pid: str = PID) -> bytes:
    return "".join(f"{row}\r" for row in (head, pid, OBR, *rows) if row).encode()


def _parse(*rows: str, **options: Any) -> Parsed:
    tool = options.pop("tool", TOOL)
    return HL7.parse_findings(tool, None, VendorAnswer(200, HEADERS, _body(*rows, **options)))


def _one(row: str, **options: Any) -> Finding:
    (found,) = _parse(row, **options).findings
    return found


def _class(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> str:
    return HL7.classify_answer(TOOL, VendorAnswer(status, headers or HEADERS, body)).answer_class


def _with(**answer: Any) -> Any:
    return TOOL.model_copy(update={"answer": answer})


def test_a_report_goes_out_with_its_delimiters_escaped() -> None:
    text = "Left | right ^ both & ~ \\ done.\nSecond line µ."
    request = HL7.build_request(TOOL, charts.ask(charts.report(text)))

    message = read(request.body)
    assert message.kind == "ORU^R01"
    assert [obx.text(obx.raw(5)) for obx in message.named("OBX")] == text.split("\n")
    assert next(message.named("PID")).part(3) == charts.SUBJECT
    assert next(message.named("OBR")).part(2) == message.header.part(10) == "att-01"


def test_without_a_text_nobody_is_asked() -> None:
    with pytest.raises(InputsMissing, match="report text"):
        HL7.build_request(TOOL, charts.ask())


def test_a_coded_result_is_a_finding_with_side_model_and_probability() -> None:
    parsed = _parse(
        _obx("CWE", PNEUMOTHORAX, f9="0.91", f11="P", f14="20260302082000", f18="AI7^ACME^2.3.1"),
        _obx("CWE", "7771000^Left^SCT", f3="20228-3^Laterality^LN"),
    )

    (found,) = parsed.findings
    assert (found.kind, found.code.code, found.polarity) == ("assertion", "36118008", "present")
    assert (found.laterality, found.status, found.verified) == ("left", "preliminary", True)
    assert (found.confidence, found.confidence_kind) == (0.91, "class_probability")
    assert found.effective == "2026-03-02T08:20:00+01:00"
    assert (parsed.model_name, parsed.model_version, found.tool_version) == ("AI7", *["2.3.1"] * 2)
    assert parsed.echoes == (charts.SUBJECT,)
    assert parsed.completeness == "full"


@pytest.mark.parametrize(
    ("value", "flags", "code", "polarity"),
    [
        (PNEUMOTHORAX, "", "36118008", "present"),
        (PNEUMOTHORAX, "NEG", "36118008", "absent"),
        (PNEUMOTHORAX, "ND", "36118008", "absent"),
        (PNEUMOTHORAX, "N", "36118008", "indeterminate"),
        (PNEUMOTHORAX, "POS~NEG", "36118008", "indeterminate"),
        ("260385009^Negative^SCT", "", "18782-3", "absent"),
        ("260385009^Negative^SCT", "POS", "18782-3", "indeterminate"),
        ("LA9633-4^Present^LN", "", "18782-3", "present"),
        (f"7^local^99ABC^{PNEUMOTHORAX}", "", "36118008", "present"),
    ],
)
def test_the_polarity_is_that_of_the_code_and_of_the_flags(
    value: str, flags: str, code: str, polarity: str
) -> None:
    found = _one(_obx("CWE", value, f8=flags))

    assert (found.code.code, found.polarity) == (code, polarity)


def test_a_local_code_is_of_no_standard_and_not_verified() -> None:
    found = _one(_obx("CWE", "36118008^Something else^99ABC"))

    assert found.code.system == "urn:careweir:local:example-hl7-reader"
    assert found.verified is False


def test_a_code_with_a_wrong_check_digit_is_kept_and_not_verified() -> None:
    found = _one(_obx("CWE", "36118009^Pneumothorax^SCT"))

    assert (found.code.code, found.verified) == ("36118009", False)


def test_a_code_is_verified_when_the_tool_file_knows_it_by_these_words() -> None:
    assert _one(_obx("CWE", PNEUMOTHORAX)).verified is True
    assert _one(_obx("CWE", "36118008^Pneumonia^SCT")).verified is False
    assert _one(_obx("CWE", "J93.9^Pneumothorax, unspecified^I10C")).verified is True


@pytest.mark.parametrize(
    ("kind", "value", "unit", "expected"),
    [
        ("NM", "12.5", "mm^^UCUM", (12.5, "mm", None)),
        ("NM", "88", "bpm", (88.0, "/min", None)),
        ("SN", "^10", "mm", (10.0, "mm", None)),
        ("SN", ">^10", "mm", (">10", "mm", None)),
        ("SN", "^10^-^15", "mm", (None, "mm", (10.0, 15.0))),
    ],
)
def test_numbers_have_their_unit(kind: str, value: str, unit: str, expected: object) -> None:
    found = _one(_obx(kind, value, f6=unit))

    assert found.kind == "measurement"
    assert (found.value, found.unit, found.interval) == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (_obx("NM", "12,5"), "none"),
        (_obx("NM", "NaN"), "none"),
        (_obx("NM", "3", f6="furlong"), "unit"),
        (_obx("SN", "^15^-^10"), "range"),
        (_obx("CWE", PNEUMOTHORAX, f9="1.7"), "outside"),
        (_obx("CWE", ""), "without a code"),
        (_obx("TX", ""), "a result"),
        (_obx("ED", "^application^pdf^Base64^JVBE"), "attached"),
        (_obx("TS", "20260302"), "type"),
        (_obx("CWE", PNEUMOTHORAX, f11="I"), "not there yet"),
        (_obx("CWE", PNEUMOTHORAX, f11="X"), "not be obtained"),
    ],
)
def test_what_cannot_be_read_is_held_back_and_the_answer_is_partial(row: str, reason: str) -> None:
    parsed = _parse(_obx("CWE", "60046008^Pleural effusion^SCT"), row)

    assert [finding.code.code for finding in parsed.findings] == ["60046008"]
    assert parsed.findings[0].completeness == parsed.completeness == "partial"
    assert any(reason in note for note in parsed.notes)


def test_a_percentage_is_a_risk_where_the_tool_file_says_so() -> None:
    risk = {
        "code": {"display": "Sepsis"},
        "bands": [{"name": "low", "below": 0.2}, {"name": "high"}],
    }
    result = {"system": "http://loinc.org", "code": "18782-3"}
    tool = _with(risks=[{"result": result, "risk": risk}])

    found = _one(_obx("NM", "45", f6="%"), tool=tool)
    assert (found.kind, found.value, found.threshold_band) == ("risk", 0.45, "high")
    with pytest.raises(VendorProtocolBroken, match="outside"):
        _parse(_obx("NM", "45"), tool=tool)


def test_lines_of_text_are_one_document_with_their_escapes_decoded() -> None:
    rows = (_obx("TX", r"Size 3\F\4 cm"), _obx("TX", r"A\.br\B \X41\ \H\bold\N\."))

    assert _one(rows[0]).value == "Size 3|4 cm"
    (found,) = _parse(*rows).findings
    assert (found.kind, found.value) == ("document", "Size 3|4 cm\nA\nB A bold.")


def test_an_attached_text_is_read() -> None:
    data = base64.b64encode(b"Impression: clear.").decode()

    assert _one(_obx("ED", f"^TEXT^PLAIN^Base64^{data}")).value == "Impression: clear."


def test_a_correction_replaces_and_a_retraction_is_in_error() -> None:
    first = _one(_obx("CWE", PNEUMOTHORAX))
    corrected = _one(_obx("CWE", PNEUMOTHORAX, f11="C"))
    withdrawn = _one(_obx("CWE", PNEUMOTHORAX, f11="W"))

    assert (first.replaces, first.status) == (None, None)
    assert corrected.replaces == withdrawn.replaces == first.id
    assert corrected.id != first.id
    assert (corrected.status, withdrawn.status) == ("corrected", "entered-in-error")


def test_a_critical_flag_is_said() -> None:
    assert _one(_obx("NM", "9", f6="mmol/L", f8="HH")).explanation == (
        "the sender marks this result as critical",
    )


def test_every_patient_of_a_message_is_an_echo() -> None:
    other = "PID|2||somebody-else^^^CAREWEIR^PI"
    assert _parse(other, _obx("CWE", PNEUMOTHORAX)).echoes == (charts.SUBJECT, "somebody-else")
    two = f"PID|1||{charts.SUBJECT}^^^CAREWEIR^PI~9^^^LAB^MR"
    row = _obx("CWE", PNEUMOTHORAX)
    assert _parse(row, pid=two).echoes == (charts.SUBJECT, "9")
    assert _parse(row, pid=two, tool=_with(patient_authority="CAREWEIR")).echoes == (
        charts.SUBJECT,
    )
    assert _parse(row, pid="").echoes == ()
    assert _parse(row, pid='PID|1||""').echoes == ()


def test_the_message_names_its_own_delimiters_and_character_set() -> None:
    body = _body(_obx("TX", "caf\u00e9")).decode().replace("|2.5.1", "|2.5.1||||||8859/1")
    parsed = HL7.parse_findings(TOOL, None, VendorAnswer(200, HEADERS, body.encode("latin-1")))
    assert parsed.findings[0].value == "café"

    swapped = _body(_obx("CWE", PNEUMOTHORAX)).decode().translate(str.maketrans("|^", "!$"))
    parsed = HL7.parse_findings(TOOL, None, VendorAnswer(200, HEADERS, swapped.encode()))
    assert parsed.findings[0].code.code == "36118008"


@pytest.mark.parametrize("separator", ["\r", "\n", "\r\n"])
def test_segments_may_end_as_files_do(separator: str) -> None:
    body = _body(_obx("CWE", PNEUMOTHORAX)).replace(b"\r", separator.encode())

    assert len(HL7.parse_findings(TOOL, None, VendorAnswer(200, HEADERS, body)).findings) == 1


ROW = _obx("CWE", PNEUMOTHORAX)
ACK = r"MSH|^~\&|EXAMPLE|LAB|GW|HOSP|20260302083000||ACK^R01^ACK|A1|P|2.5.1"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (_body(ROW), "ok"),
        (_body(ROW, _obx("TS", "1")), "partial"),
        (_body(_obx("CWE", PNEUMOTHORAX, f11="X")), "partial"),
        (f"{ACK}\rMSA|AA|att-01\r".encode(), "pending"),
        (f"{ACK}\rMSA|CA|att-01\r".encode(), "pending"),
        (f"{ACK}\rMSA|AE|att-01\r".encode(), "bad_request"),
        (f"{ACK}\rMSA|AE|att-01\rERR|||207^Application error^HL70357|E\r".encode(), "vendor_fault"),
        (f"{ACK}\rMSA|AR|att-01\r".encode(), "refused"),
        (f"{ACK}\rMSA|AR|att-01\rERR|||200^Unsupported message type|E\r".encode(), "bad_request"),
        (f"{ACK}\rMSA||att-01\r".encode(), "protocol_broken"),
        (f"{ACK}\r".encode(), "protocol_broken"),
        (_body(), "protocol_broken"),
        (_body(_obx("TS", "1")), "protocol_broken"),
        (_body(_obx("CWE", PNEUMOTHORAX, f11="")), "protocol_broken"),
        (_body(_obx("CWE", PNEUMOTHORAX, f3="")), "protocol_broken"),
        (_body(ROW, head=MSH.replace("|P|", "|T|")), "protocol_broken"),
        (_body(ROW, head=MSH.replace("ORU^R01", "ADT^A01")), "protocol_broken"),
        (_body(ROW, head=MSH.replace(r"^~\&", r"^^\&")), "protocol_broken"),
        (_body(ROW, head=MSH + "||||||ISO IR87"), "protocol_broken"),
        (_body(ROW) + _body(ROW), "protocol_broken"),
        (_body(ROW, "a loose line"), "protocol_broken"),
        (b"\xff" + _body(ROW), "protocol_broken"),
        (_body(_obx("TX", "x")).replace(b"x", b"\xff"), "protocol_broken"),
    ],
)
def test_each_message_has_its_class(body: bytes, outcome: str) -> None:
    assert _class(body) == outcome


def test_a_page_or_json_is_no_message_whatever_it_holds() -> None:
    assert _class(_body(ROW), headers={"content-type": "text/html"}) == "protocol_broken"
    assert _class(_body(ROW), headers={}) == "ok"
    assert _class(_body(ROW), status=503) == "vendor_fault"
    assert _class(f"{ACK}\rMSA|AA|att-01\r".encode(), status=202) == "pending"


def test_a_message_of_another_sender_is_refused_where_one_is_named() -> None:
    assert _parse(ROW, tool=_with(sender="EXAMPLE")).findings
    with pytest.raises(VendorProtocolBroken, match="another sender"):
        _parse(ROW, tool=_with(sender="OTHER"))


def test_a_push_is_bound_by_placer_number_and_control_id() -> None:
    assert PUSHED is not None
    pushed = PUSHED.parse_push(TOOL, Push(HEADERS, _body(ROW)))

    assert pushed.binding.request_id == "att-01"
    assert pushed.binding.message_id == "EXAMPLE/LAB/M7"
    assert pushed.binding.sent_at == "2026-03-02T08:30:00+01:00"
    assert pushed.parsed.echoes == (charts.SUBJECT,)


def test_a_push_that_names_two_requests_is_bound_to_none() -> None:
    assert PUSHED is not None
    body = _body(ROW, OBR.replace("att-01", "att-02"), ROW)

    assert PUSHED.parse_push(TOOL, Push(HEADERS, body)).binding.request_id is None


def test_a_push_without_a_control_id_or_type_is_refused() -> None:
    assert PUSHED is not None
    with pytest.raises(VendorProtocolBroken, match="control id"):
        PUSHED.parse_push(TOOL, Push(HEADERS, _body(ROW, head=MSH.replace("|M7|", "||"))))
    with pytest.raises(VendorProtocolBroken, match="content type"):
        PUSHED.parse_push(TOOL, Push({"content-type": "application/json"}, _body(ROW)))


@pytest.mark.parametrize("receipt", get_args(Receipt))
def test_the_reply_is_an_acknowledgement_of_that_message(receipt: Receipt) -> None:
    assert PUSHED is not None
    reply = PUSHED.acknowledge(TOOL, Push(HEADERS, _body(ROW)), receipt)

    said = read(reply.body)
    assert said.kind == "ACK^R01"
    assert (said.header.part(5), said.header.part(6)) == ("EXAMPLE", "LAB")
    msa = next(said.named("MSA"))
    expected = {"accepted": "AA", "failed": "AE", "rejected": "AR", "broken": "AR"}
    assert (msa.part(1), msa.part(2)) == (expected[receipt], "M7")
    assert reply.content_type == "application/hl7-v2"


def test_what_cannot_be_read_is_rejected_without_its_words() -> None:
    assert PUSHED is not None
    reply = PUSHED.acknowledge(TOOL, Push(HEADERS, b"CANARY-words"), "accepted")

    assert b"MSA|AR|" in reply.body
    assert b"CANARY" not in reply.body
    assert reply.status == 400


def test_a_reply_escapes_what_it_repeats() -> None:
    assert PUSHED is not None
    head = MSH.replace("|M7|", r"|M\F\7|")
    reply = PUSHED.acknowledge(TOOL, Push(HEADERS, _body(ROW, head=head)), "accepted")

    assert next(read(reply.body).named("MSA")).part(2) == "M|7"


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        ("20260302", None, "2026-03-02"),
        ("20260302081500", None, "2026-03-02"),
        ("20260302081500", "+01:00", "2026-03-02T08:15:00+01:00"),
        ("202603020815-0500", "+01:00", "2026-03-02T08:15:00-05:00"),
        ("20260302081500.1234", "+00:00", "2026-03-02T08:15:00+00:00"),
        ("20260332", None, None),
        ("2026", None, None),
        ("", None, None),
    ],
)
def test_times_are_placed_or_cut_to_their_date(
    text: str, offset: str | None, expected: str | None
) -> None:
    assert moment_of(text, offset) == expected


def test_what_is_escaped_reads_back() -> None:
    text = "a|b^c&d~e\\f\ng"

    assert read(f"{MSH}|{escaped(text)}\r".encode()).header.part(13) == text


def test_the_codes_of_the_tables_have_their_check_digit() -> None:
    held = [code for system, code in (*ANSWERS, *SIDES) if "snomed" in system]

    assert len(held) == 11
    assert all(map(snomed_well_formed, held))


def test_a_tool_file_without_a_code_for_a_risk_is_refused() -> None:
    row = {"result": {"display": "x"}, "risk": {"code": {"display": "Sepsis"}}}

    with pytest.raises(ToolFileInvalid, match="no code"):
        HL7.check_tool(_with(risks=[row]))

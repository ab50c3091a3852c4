"""What a scope opens, letter by letter; what cannot be read opens nothing."""

from __future__ import annotations

import pytest

from careweir.access.scopes import EVERYTHING, may_ask, openings, opens_all

ALL = (EVERYTHING,)


@pytest.mark.parametrize(
    ("scope", "read", "search"),
    [
        ("system/AuditEvent.rs", ALL, ALL),
        ("system/AuditEvent.r", ALL, ()),
        ("system/AuditEvent.s", (), ALL),
        ("system/AuditEvent.cruds", ALL, ALL),
        ("system/*.rs", ALL, ALL),
        ("user/AuditEvent.rs", ALL, ALL),
        ("system/AuditEvent.read", ALL, ALL),
        ("system/AuditEvent.*", ALL, ALL),
        ("system/*.read", ALL, ALL),
        ("system/AuditEvent.write", (), ()),
        ("system/AuditEvent.cud", (), ()),
        ("system/AuditEvent.", (), ()),
        ("system/AuditEvent.sr", (), ()),
        ("system/AuditEvent.dus", (), ()),
        ("system/AuditEvent.rr", (), ()),
        ("system/AuditEvent.R", (), ()),
        ("system/auditevent.rs", (), ()),
        ("System/AuditEvent.rs", (), ()),
        ("system/Audit.rs", (), ()),
        ("system/AuditEventX.rs", (), ()),
        ("system/Observation.rs", (), ()),
        ("patient/AuditEvent.rs", (), ()),
        ("launch/AuditEvent.rs", (), ()),
        ("system/AuditEvent.rs?", (), ()),
        ("system/AuditEvent.rs?type", (), ()),
        ("system/AuditEvent.rs?type=", (), ()),
        ("system/AuditEvent.rs?=1", (), ()),
        ("system/AuditEvent.rs?type=1&", (), ()),
        ("system/AuditEvent.rs\n", (), ()),
        (" system/AuditEvent.rs", (), ()),
        ("capability/*.infer", (), ()),
        ("openid", (), ()),
        ("system/AuditEvent.rs?type=1", ((("type", "1"),),), ((("type", "1"),),)),
        ("system/AuditEvent.r?b=2&a=1", ((("a", "1"), ("b", "2")),), ()),
        ("system/*.s?patient=Patient%2F1", (), ((("patient", "Patient/1"),),)),
        ("system/AuditEvent.read?type=1", ((("type", "1"),),), ((("type", "1"),),)),
    ],
)
def test_a_scope_opens_what_it_says_and_no_more(
    scope: str, read: tuple[object, ...], search: tuple[object, ...]
) -> None:
    assert openings({scope}, "AuditEvent", "r") == read
    assert openings({scope}, "AuditEvent", "s") == search


def test_scopes_are_alternatives_and_one_without_a_condition_opens_all() -> None:
    narrow = {"system/AuditEvent.rs?type=1", "system/AuditEvent.rs?site=north"}

    assert len(openings(narrow, "AuditEvent", "s")) == 2
    assert not opens_all(narrow, "AuditEvent", "s")
    assert opens_all(narrow | {"system/*.s"}, "AuditEvent", "s")
    assert not opens_all(narrow | {"system/*.s"}, "AuditEvent", "r")


def test_nine_parameters_are_too_many() -> None:
    scope = "system/AuditEvent.rs?" + "&".join(f"p{n}=1" for n in range(9))

    assert openings({scope}, "AuditEvent", "r") == ()


@pytest.mark.parametrize(
    ("scope", "asks"),
    [
        ("capability/sepsis-risk.infer", True),
        ("capability/*.infer", True),
        ("capability/no-show-risk.infer", False),
        ("capability/sepsis-risk", False),
        ("capability/sepsis-risk.infer?x=1", False),
        ("capability/**.infer", False),
        ("system/*.cruds", False),
        ("system/RiskAssessment.c", False),
    ],
)
def test_no_scope_on_resources_lets_a_question_be_asked(scope: str, asks: bool) -> None:
    assert may_ask({scope}, "sepsis-risk") is asks

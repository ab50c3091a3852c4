"""When two facts speak of one thing: the same patient, occasion, side and place."""

from __future__ import annotations

from careweir.conflicts.normalise import Fact


def same_subject(a: Fact, b: Fact) -> bool:
    """Both about the same person, and about the present state of that person."""
    return a.subject == b.subject and a.context is None and b.context is None


def same_occasion(a: Fact, b: Fact, *, window_s: float) -> bool:
    """One study or specimen; failing that, one encounter and times within ``window_s``.

    A study or specimen decides where both name one, whatever the clock says. What a tool left out
    is no difference: two facts that name neither are of the same request. A date without a time is
    compared by the day.
    """
    if a.study is not None and b.study is not None:
        return a.study == b.study
    if a.specimen is not None and b.specimen is not None:
        return a.specimen == b.specimen
    if a.encounter is not None and b.encounter is not None and a.encounter != b.encounter:
        return False
    if a.at is not None and b.at is not None:
        return abs(a.at - b.at) <= window_s
    if a.day is not None and b.day is not None:
        return abs(a.day - b.day) * 86400 <= window_s
    return True


def differ_in_source(a: Fact, b: Fact) -> bool:
    """Do two tools speak, or two versions of one?"""
    return a.source != b.source


def sides_meet(present: Fact, absent: Fact) -> bool:
    """Does what is absent cover the side on which something is present?

    Absent without a side means on both; absent on one side says nothing of a finding whose side
    is not known.
    """
    if absent.sides is None:
        return True
    return present.sides is not None and not present.sides.isdisjoint(absent.sides)


def places_meet(present: Fact, absent: Fact) -> bool:
    """Does what is absent cover the place where something is present (as for sides)?"""
    if absent.place is None:
        return True
    return present.place is not None and absent.place.id in present.place.above


def opposite_sides(a: Fact, b: Fact) -> bool:
    """Both name a side and share none."""
    return a.sides is not None and b.sides is not None and a.sides.isdisjoint(b.sides)


def same_side(a: Fact, b: Fact) -> bool:
    """No stated difference in side."""
    return a.sides is None or b.sides is None or a.sides == b.sides

"""Two amounts of one quantity: within the noise, apart, or in the wrong unit."""

from __future__ import annotations

from careweir.conflicts.amounts import Amount, Limit
from careweir.conflicts.case import Case, amount_key
from careweir.conflicts.normalise import Fact
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import differ_in_source, same_occasion, same_subject
from careweir.conflicts.units import UnitTable, convert

_EXACT = 1e-6
_SLIP_TOLERANCE = 0.005
_SLIP_TOLERANCE_MAX = 0.012
_DECIMAL_SLIPS = (10.0, 1000.0)


def comparable_amounts(a: Fact, b: Fact, case: Case) -> bool:
    """One quantity of one specimen or study, said by two tools, on one side and at one place."""
    if a.amount is None or b.amount is None or a.amount.quantity.id != b.amount.quantity.id:
        return False
    if not differ_in_source(a, b) or not same_subject(a, b) or a.sides != b.sides:
        return False
    row = a.amount.quantity.row
    if a.place is not None and b.place is not None and a.place.id != b.place.id:
        return False
    if row.many:
        if (a.place is None) != (b.place is None):
            return False
        if any(case.amounts_said[amount_key(fact)] > 1 for fact in (a, b)):
            return False
    return same_occasion(a, b, window_s=row.window_min * 60)


def window_s(fact: Fact, book: RuleBook) -> float:
    """The time within which two readings of a fact's quantity are one, in seconds."""
    return fact.amount.quantity.row.window_min * 60 if fact.amount is not None else 0.0


def noise(one: Amount, two: Amount) -> float:
    """The difference that two readings may show, in the quantity's own unit."""
    assert one.value is not None
    assert two.value is not None
    row = one.quantity.row
    return max(row.noise_abs, row.noise_rel * min(abs(one.value), abs(two.value)))


def apart(one: Amount, two: Amount) -> bool:
    """Do two readings differ by more than the noise?"""
    if one.value is None or two.value is None or not _one_dimension(one, two):
        return False
    difference = abs(one.value - two.value)
    return difference > noise(one, two) * (1 + _EXACT) + 1e-12


def crossed(one: Amount, two: Amount) -> tuple[Limit, ...]:
    """The decision limits that lie between two readings."""
    assert one.value is not None
    assert two.value is not None
    low, high = sorted((one.value, two.value))
    return tuple(limit for limit in one.quantity.row.limits if low < limit.at <= high)


def slip_of(one: Amount, two: Amount, case: Case) -> str | None:
    """``unit_slip``, worked out once a case: many tools give the same two amounts."""
    key = (id(one), id(two))  # amounts belong to the claims of the case and live as long
    if key not in case.slips:
        case.slips[key] = unit_slip(one, two, case.book.units)
    return case.slips[key]


def unit_slip(one: Amount, two: Amount, units: UnitTable) -> str | None:
    """Why a wrong unit is likely, or None: equal numbers, or one read in another usual unit."""
    if one.number == 0 or two.number == 0:
        return None
    if _equal_numbers(one, two):
        return f"the same number {one.number:g} with units {_unit(one)} and {_unit(two)}"
    if not apart(one, two):
        return None
    for a, b in ((one, two), (two, one)):
        for text in _usual_units(a):
            if _reads_as(a, text, b, units):
                return f"{a.number:g} {_unit(a)} would agree if its unit were {text}"
    return _decimal_slip(one, two)


def _equal_numbers(one: Amount, two: Amount) -> bool:
    if abs(one.number - two.number) > _EXACT * abs(one.number):
        return False
    if one.unit is None or two.unit is None or one.unit == two.unit:
        return _converted_apart(one, two)
    if one.unit.dimension == two.unit.dimension:
        factors = (one.unit.factor / two.unit.factor, one.unit.offset - two.unit.offset)
        if abs(factors[0] - 1) < _EXACT and abs(factors[1]) < _EXACT:
            return False
    elif one.value is None or two.value is None:
        return True
    return apart(one, two)


def _converted_apart(one: Amount, two: Amount) -> bool:
    """Units known only to this quantity (HbA1c in mmol/mol beside %)."""
    if one.value is None or two.value is None or one.written_unit is None:
        return False
    return two.written_unit is not None and apart(one, two)


def _one_dimension(one: Amount, two: Amount) -> bool:
    """Outside the table two values are in the base units of their own dimensions."""
    if one.quantity.unit is not None or one.quantity.row.unitless:
        return True
    return (
        one.unit is not None and two.unit is not None and one.unit.dimension == two.unit.dimension
    )


def _usual_units(amount: Amount) -> tuple[str, ...]:
    row = amount.quantity.row
    return (row.unit, *row.units, *row.conversions) if row.unit else ()


def _reads_as(a: Amount, text: str, b: Amount, units: UnitTable) -> bool:
    """Would the number of ``a``, read in another unit, be what ``b`` says?"""
    unit = units.read(text)
    own = a.quantity.unit
    row = a.quantity.row
    if text in row.conversions:
        factor, offset = row.conversions[text]
        value: float | None = a.number * factor + offset
    elif unit is None or own is None or unit == a.unit:
        return False
    else:
        value = convert(a.number, unit, own, molar_mass=row.molar_mass, charge=row.charge)
    assert b.value is not None
    return value is not None and _near(value, b.value, a.number, b.number)


def _decimal_slip(one: Amount, two: Amount) -> str | None:
    assert one.value is not None
    assert two.value is not None
    low, high = sorted((abs(one.value), abs(two.value)))
    if low == 0:
        return None
    for slip in (*one.quantity.row.slips, *_DECIMAL_SLIPS):
        if _near(high / low, slip, one.number, two.number):
            return f"one reading is {slip:g} times the other"
    return None


def _near(value: float, other: float, *numbers: float) -> bool:
    """Equal within the rounding of the numbers as written."""
    tolerance = _SLIP_TOLERANCE + sum(_rounding(number) for number in numbers)
    return abs(value - other) <= min(tolerance, _SLIP_TOLERANCE_MAX) * abs(other)


def _rounding(number: float) -> float:
    """Half a unit in the last written digit, relative to the number."""
    text = f"{number:.10g}"
    decimals = len(text.partition(".")[2])
    return 0.5 / float(10**decimals) / abs(number)


def _unit(amount: Amount) -> str:
    return amount.written_unit or "no unit"


def reading(fact: Fact) -> str:
    """A reading as the tool wrote it."""
    assert fact.amount is not None
    unit = f" {fact.amount.written_unit}" if fact.amount.written_unit else ""
    return f"{fact.amount.number:g}{unit}"

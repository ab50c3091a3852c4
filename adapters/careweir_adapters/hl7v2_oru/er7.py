"""Reading and writing the pipe form of HL7 v2: segments, fields, repetitions, components.

The message names its own delimiters and its own character set. Escapes are decoded last, after
every split, so that an escaped delimiter never splits anything.

Source: HL7 v2.5.1 chapter 2 (2.5 message construction, 2.7 escape sequences, 2.15.9 MSH);
HL7 table 0211 (character sets).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from careweir_kit.errors import VendorProtocolBroken

SEGMENTS_MAX: Final = 20_000
_CHARSETS: Final[Mapping[str, str]] = {
    "": "utf-8",  # not said: ASCII by the standard, of which UTF-8 is a superset
    "ASCII": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    **{f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 10), 15)},
}
_SEGMENT: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_NULL: Final = '""'  # the sender deletes the value: for a reader of results, no value


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The five characters of MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; ``fields[n]`` is field n as it stands on the wire, ``fields[0]`` the name."""

    name: str
    fields: tuple[str, ...]
    marks: Delimiters
    charset: str

    def raw(self, number: int) -> str:
        """Field ``number`` undecoded; empty when it is not there."""
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field, undecoded; none when the field is empty."""
        raw = self.raw(number)
        return raw.split(self.marks.repetition) if raw and raw != _NULL else []

    def parts(self, repetition: str) -> list[str]:
        """The components of one repetition, decoded; each cut at its first subcomponent."""
        split = repetition.split(self.marks.component)
        return [self.text(part.split(self.marks.subcomponent)[0]) for part in split]

    def part(self, number: int, component: int = 1) -> str:
        """One component of the first repetition of a field, decoded; empty when not there."""
        first = next(iter(self.repetitions(number)), "")
        found = self.parts(first)
        return found[component - 1].strip() if component <= len(found) else ""

    def text(self, raw: str) -> str:
        """Escapes decoded: delimiters, line breaks, bytes in hexadecimal; formatting is dropped."""
        if raw == _NULL:
            return ""
        mark = re.escape(self.marks.escape)
        return re.sub(f"{mark}([^{mark}]*){mark}", self._unescape, raw)

    def _unescape(self, found: re.Match[str]) -> str:
        said, marks = found[1], self.marks
        plain = {
            "F": marks.field,
            "S": marks.component,
            "T": marks.subcomponent,
            "R": marks.repetition,
            "E": marks.escape,
            ".br": "\n",
            ".sp": "\n",
        }
        if said in plain:
            return plain[said]
        if re.fullmatch(r"X([0-9A-Fa-f]{2})+", said):
            text = bytes.fromhex(said[1:]).decode(self.charset, "replace")
            return text.replace("\r\n", "\n").replace("\r", "\n")
        return ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; the first segment is MSH, in which field 1 is the delimiter itself."""

    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        """The MSH segment."""
        return self.segments[0]

    @property
    def kind(self) -> str:
        """``ORU^R01``, ``ACK`` …: code and, where given, trigger of MSH-9."""
        return "^".join(part for part in (self.header.part(9), self.header.part(9, 2)) if part)

    def named(self, name: str) -> Iterator[Segment]:
        """The segments of one name, in order."""
        return (segment for segment in self.segments if segment.name == name)


def read(body: bytes) -> Message:
    """Read one message. Raises VendorProtocolBroken."""
    marks, charset = _head(body)
    try:
        text = body.decode(charset)
    except UnicodeDecodeError:
        raise VendorProtocolBroken("bytes that are not in the message's character set") from None
    lines = _lines(text)
    if len(lines) > SEGMENTS_MAX:
        raise VendorProtocolBroken("more segments than are read")
    return Message(tuple(_segment(line, at, marks, charset) for at, line in enumerate(lines)))


def _lines(text: str) -> list[str]:
    """One segment a carriage return; files that were edited have line feeds instead."""
    if "\r" in text:
        return [line.strip("\n") for line in text.split("\r") if line.strip()]
    return [line for line in text.split("\n") if line.strip()]


def _head(body: bytes) -> tuple[Delimiters, str]:
    """Delimiters and character set, from the first bytes, which are ASCII whatever follows."""
    first = re.split(rb"[\r\n]", body.lstrip(b"\r\n"), maxsplit=1)[0].decode("latin-1")
    if not first.startswith("MSH") or len(first) < 8:
        raise VendorProtocolBroken("the message does not begin with an MSH segment")
    field, rest = first[3], first[4:]
    said = rest.split(field)[0]
    known = [field, *said[:4]]
    if len(said) not in (4, 5) or len(set(known)) != 5 or any(c.isalnum() for c in known):
        raise VendorProtocolBroken("MSH does not name five different delimiters")
    marks = Delimiters(field, *said[:4])
    fields = first.split(field)
    named = fields[17].split(marks.repetition)[0].strip().upper() if len(fields) > 17 else ""
    charset = _CHARSETS.get(named)
    if charset is None:
        raise VendorProtocolBroken("a character set that is not read here")
    return marks, charset


def _segment(line: str, at: int, marks: Delimiters, charset: str) -> Segment:
    name, *fields = line.split(marks.field)
    if not _SEGMENT.fullmatch(name) or (name == "MSH") != (at == 0):
        raise VendorProtocolBroken("a line that is no segment of one message")
    if name == "MSH":
        fields = [marks.field, *fields]
    return Segment(name, (name, *fields), marks, charset)


def escaped(text: str) -> str:
    """Text as it may stand in a field that we write; a line break becomes ``.br``."""
    marks = Delimiters()
    names = {"|": "F", "^": "S", "&": "T", "~": "R", "\\": "E"}
    found = "".join(f"\\{names[c]}\\" if c in names else c for c in _one_kind_of_break(text))
    return found.replace("\n", f"{marks.escape}.br{marks.escape}")


def _one_kind_of_break(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def written(segments: Sequence[Sequence[str]]) -> bytes:
    """Segments of already escaped fields as one message in UTF-8; MSH-1 is not given."""
    return "".join("|".join(fields) + "\r" for fields in segments).encode()


def sender_of(message: Message) -> str | None:
    """Application and facility of MSH-3 and MSH-4."""
    get: Callable[[int], str] = message.header.part
    return "/".join(part for part in (get(3), get(4)) if part) or None

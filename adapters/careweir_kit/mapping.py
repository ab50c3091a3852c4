"""Parts of a tool file that several adapters share: codes, bands, and how they are checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from careweir_fhir.model import Coding, Completeness, Finding
from careweir_kit.errors import ToolFileInvalid, VendorProtocolBroken
from careweir_kit.tool import Tool

MAPPING = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
WIRE = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)

Model = TypeVar("Model", bound=BaseModel)


class Band(BaseModel):
    """One named band; it ends below ``below``, the last one has no end."""

    model_config = MAPPING

    name: str
    below: float | None = None


class Risk(BaseModel):
    """How one probability becomes a finding: of what, within which time, in which bands."""

    model_config = MAPPING

    code: Coding
    horizon: str | None = Field(default=None, pattern=r"^P(\d+[YMWD])*(T(\d+[HMS])+)?$")
    bands: tuple[Band, ...] = ()


class KnownCodes(BaseModel):
    """The part of ``answer`` that adapters share whose vendor sends codes of its own choice."""

    model_config = MAPPING

    codes: tuple[Coding, ...] = ()  # codes as they are known here, with their words
    model_versions: tuple[str, ...] = ()

    @property
    def known(self) -> dict[tuple[str, str], str | None]:
        """The codes of the tool file with their words."""
        return {(c.system or "", c.code or ""): c.display for c in self.codes}


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One part of one Tool object, compared by identity: tools are frozen but hold dicts."""

    tool: Tool
    part: Literal["request", "answer"]
    model: type[BaseModel]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Part)
            and self.tool is other.tool
            and self.part == other.part
            and self.model is other.model
        )

    def __hash__(self) -> int:
        return hash((id(self.tool), self.part, self.model))


def read(model: type[Model], tool: Tool, part: Literal["request", "answer"]) -> Model:
    """Read one part of a tool file, once. Raises ToolFileInvalid, which names file and field."""
    return cast(Model, _read(_Part(tool, part, model)))


@lru_cache(maxsize=1024)
def _read(wanted: _Part) -> BaseModel:
    tool, part = wanted.tool, wanted.part
    try:
        return wanted.model.model_validate(getattr(tool, part))
    except ValidationError as error:
        raise ToolFileInvalid(f"{tool.tool}.yaml: {places(error, part)}") from None


def places(error: ValidationError, part: str = "") -> str:
    """Where a validation failed and how, without the offending values."""
    found = []
    for item in error.errors(include_input=False, include_context=False, include_url=False):
        place = ".".join([part, *map(str, item["loc"])]).strip(".")
        found.append(f"{place} ({item['type']})")
    return "; ".join(found)


def check_bands(risk: Risk, *, tool: Tool, part: str) -> None:
    """Bands must rise and only the last may be open. Raises ToolFileInvalid."""
    limits = [band.below for band in risk.bands]
    ends = [limit for limit in limits[:-1] if limit is not None]
    rising = len(ends) == len(limits[:-1]) and ends == sorted(set(ends))
    if limits and (not rising or limits[-1] is not None):
        raise ToolFileInvalid(f"{tool.tool}.yaml: {part}.bands must rise and end with an open one")


def band_of(value: float, bands: Sequence[Band]) -> str | None:
    """The name of the band that holds ``value``; None without bands."""
    for band in bands:
        if band.below is None or value < band.below:
            return band.name
    return None


def risk_finding(
    tool: Tool, risk: Risk, value: float, *, version: str | None, effective: str | None
) -> Finding:
    """A probability as a finding. Raises VendorProtocolBroken when it is not one."""
    if not 0 <= value <= 1:
        raise VendorProtocolBroken("a probability lies outside 0 to 1")
    return Finding(
        tool=tool.tool,
        tool_version=version or tool.version,
        kind="risk",
        code=risk.code,
        value=value,
        unit="1",
        horizon=risk.horizon,
        threshold_band=band_of(value, risk.bands),
        effective=effective,
        verified=True,
    )


def marked(findings: Iterable[Finding], completeness: Completeness) -> tuple[Finding, ...]:
    """Findings that say themselves whether the answer they come from was whole."""
    if completeness == "full":
        return tuple(findings)
    return tuple(finding.model_copy(update={"completeness": "partial"}) for finding in findings)


def unique(names: Iterable[str]) -> bool:
    """Whether no name occurs twice."""
    listed = list(names)
    return len(listed) == len(set(listed))


def version_notes(version: str | None, known: Sequence[str]) -> tuple[str, ...]:
    """A note when the version that answered is not one that the tool file knows."""
    if not known or version in known:
        return ()
    if version is None:
        return ("the answer does not say which model version gave it",)
    return ("another model version answered than those in the tool file",)

"""The shape of each policy file; what stands here is also the JSON schema for editors."""

from __future__ import annotations

from typing import Annotated, Literal

from careweir_kit.tool import Transform
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(min_length=1)]
Flag = Literal["true", "false"]
Version = Literal["1"]


class RoleEntry(BaseModel):
    """A role: what it is called, and whether it may ever see clinical data."""

    model_config = _STRICT

    title: str
    clinical: Flag = "true"


class GrantEntry(BaseModel):
    """Permit: who, why, for which capability, where; and which data classes may leave.

    ``break_glass: true`` makes it apply only with an emergency override, and only for BTG.
    """

    model_config = _STRICT

    role: Names
    purpose: Names
    capability: Names
    sites: Names = ("*",)
    classes: tuple[str, ...] = Field(min_length=1)
    sensitivity: tuple[str, ...] = ()
    confidentiality: tuple[Literal["R", "V"], ...] = ()
    break_glass: Flag = "false"


class ForbidEntry(BaseModel):
    """Deny, whatever any grant says. ``*`` stands for every role, purpose or capability."""

    model_config = _STRICT

    role: Names = ("*",)
    purpose: Names = ("*",)
    capability: Names = ("*",)
    sites: Names = ("*",)
    reason: str = Field(min_length=1)


class RolesFile(BaseModel):
    """``roles.yaml``."""

    model_config = _STRICT

    version: Version
    roles: dict[str, RoleEntry] = Field(min_length=1)
    grants: tuple[GrantEntry, ...]
    forbids: tuple[ForbidEntry, ...] = ()


class PurposesFile(BaseModel):
    """``purposes.yaml``: code -> its parents."""

    model_config = _STRICT

    version: Version
    source: str
    purposes: dict[str, Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]]


class CapabilitiesFile(BaseModel):
    """``capabilities.yaml`` as far as a policy reads it: the names that a grant can use."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    capabilities: dict[str, dict[str, object]] = Field(min_length=1)


class DataClassEntry(BaseModel):
    """A named part of the chart."""

    model_config = _STRICT

    title: str
    resource: str
    paths: tuple[str, ...] = Field(min_length=1)
    codes: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    text: Flag = "false"


class DataClassesFile(BaseModel):
    """``data_classes.yaml``."""

    model_config = _STRICT

    version: Version
    classes: dict[str, DataClassEntry] = Field(min_length=1)


class CodeGroup(BaseModel):
    """Codes of one system and one class: code -> our own display."""

    model_config = _STRICT

    system: str
    code_class: str = Field(alias="class")
    source: str
    sensitivity: str | None = None
    codes: dict[str, str] = Field(min_length=1)


class CodesFile(BaseModel):
    """``codes.yaml``: every code that may leave, and the units."""

    model_config = _STRICT

    version: Version
    systems: dict[str, str]
    groups: tuple[CodeGroup, ...]
    units: tuple[str, ...]
    unit_synonyms: dict[str, str] = Field(default_factory=dict)


class SensitivityFile(BaseModel):
    """``sensitivity/*.yaml``: one sensitivity code, its codes (alias -> codes) and its words.

    A word is matched whole, in any case; ``*`` at its end matches any ending.
    """

    model_config = _STRICT

    version: Version
    sensitivity: str
    title: str
    source: str
    codes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    words: tuple[str, ...] = ()


class SensitivityCodesFile(BaseModel):
    """``sensitivity_codes.yaml``: the codes of HL7 v3-ActCode that a policy can name."""

    model_config = _STRICT

    version: Version
    source: str
    codes: dict[str, str]


FILES: dict[str, type[BaseModel]] = {
    "roles": RolesFile,
    "purposes": PurposesFile,
    "data_classes": DataClassesFile,
    "codes": CodesFile,
    "sensitivity": SensitivityFile,
    "sensitivity_codes": SensitivityCodesFile,
}

"""The shape of each policy file; what stands here is also the JSON schema for editors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from careweir_kit.tool import Transform

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


# The loader reads every scalar as text; editors see numbers and booleans, so they are told so.
_TEXTS = {"type": "array", "items": {"type": "string"}}
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_one_or_many),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {**_TEXTS, "minItems": 1}]}),
]
Flag = Annotated[Literal["true", "false"], WithJsonSchema({"type": "boolean"})]
Version = Annotated[Literal["1"], WithJsonSchema({"const": 1})]


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
    purposes: dict[str, tuple[str, ...]]


class CapabilityEntry(BaseModel):
    """What a policy reads of a capability.

    ``administrative``: no grant may give it clinical classes. ``scope``: the data classes that the
    question is about, whether or not a tool needs each today; lint holds the grants against it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    administrative: Flag = "false"
    scope: tuple[str, ...] = ()


class CapabilitiesFile(BaseModel):
    """``capabilities.yaml`` as far as a policy reads it: the names that a grant can use."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    capabilities: dict[str, CapabilityEntry] = Field(min_length=1)


class DataClassEntry(BaseModel):
    """A named part of the chart.

    ``administrative: true`` says that it neither identifies anybody nor tells of their health, so
    that an administrative capability may have it; the loader checks that of its elements.
    ``spare`` says why no shipped grant names it.
    """

    model_config = _STRICT

    title: str
    resource: str
    paths: tuple[str, ...] = Field(min_length=1)
    codes: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    sensitivity: tuple[str, ...] = ()
    text: Flag = "false"
    administrative: Flag = "false"
    spare: str | None = None


class DataClassesFile(BaseModel):
    """``data_classes.yaml``."""

    model_config = _STRICT

    version: Version
    classes: dict[str, DataClassEntry] = Field(min_length=1)


class CodeGroup(BaseModel):
    """Codes of one system and one class: code -> our own display.

    ``verified: false``: not yet held against a release of the code system.
    """

    model_config = _STRICT

    system: str
    code_class: str = Field(alias="class")
    source: str
    sensitivity: str | None = None
    verified: Flag = "true"
    codes: dict[str, str] = Field(min_length=1)


class CodesFile(BaseModel):
    """``codes.yaml``: every code that may leave, and the units.

    ``other_names``: alias -> further URLs of the system. Nothing leaves under these, but what is
    sensitive is found under them. ``by_category``: systems whose codes begin with their category.
    """

    model_config = _STRICT

    version: Version
    systems: dict[str, str]
    other_names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    by_category: tuple[str, ...] = ()
    groups: tuple[CodeGroup, ...]
    units: tuple[str, ...]
    unit_synonyms: dict[str, str] = Field(default_factory=dict)


class SensitivityFile(BaseModel):
    """``sensitivity/*.yaml``: one sensitivity code, its codes (alias -> codes) and its words.

    Of a system that goes by category a code stands for all below it, and ``F20-F29`` for all
    categories from the one to the other. ``unverified``: systems whose codes were not yet held
    against a release. A word is matched whole, in any case; ``*`` at its end matches any ending.
    """

    model_config = _STRICT

    version: Version
    sensitivity: str
    title: str
    source: str
    codes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    unverified: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class SensitivityCodesFile(BaseModel):
    """``sensitivity_codes.yaml``: the codes of HL7 v3-ActCode that a policy can name."""

    model_config = _STRICT

    version: Version
    source: str
    codes: dict[str, str]


class SitesFile(BaseModel):
    """``sites.yaml``: the regions to which each site may send."""

    model_config = _STRICT

    version: Version
    regions: dict[str, str] = Field(min_length=1)
    default: Names
    sites: dict[str, Names] = Field(default_factory=dict)


FILES: dict[str, type[BaseModel]] = {
    "roles": RolesFile,
    "purposes": PurposesFile,
    "data_classes": DataClassesFile,
    "codes": CodesFile,
    "sites": SitesFile,
    "sensitivity": SensitivityFile,
    "sensitivity_codes": SensitivityCodesFile,
}

"""What CDS Hooks 2.0.1 demands of a service, and the test that shows it.

The rows were drawn from a digest of the standard, not from its text: whoever has the text at hand
should look for one that is missing here.
"""

from __future__ import annotations

import re

import pytest

from support.paths import ROOT

FOLDER = ROOT / "tests" / "cds"
MET = {
    "discovery is GET {base}/cds-services and answers 200 with services":
        "test_discovery_is_open_and_lists_what_can_be_called",
    "a descriptor has hook, id and description":
        "test_a_descriptor_has_what_the_standard_requires",
    "null, empty strings, arrays and objects are not sent where nothing allows them":
        "test_a_descriptor_has_what_the_standard_requires",
    "prefetch templates stay within the recommended queries and tokens":
        "test_the_templates_use_only_what_the_standard_recommends",
    "a service gets only its own prefetch keys":
        "test_the_chart_holds_what_was_asked_for_as_it_was_given",
    "hook must be that of the service": "test_a_call_that_breaks_the_standard_is_refused",
    "hookInstance is a UUID": "test_a_call_that_breaks_the_standard_is_refused",
    "context has the fields that its hook requires":
        "test_a_call_that_breaks_the_standard_is_refused",
    "encounter-discharge requires encounterId":
        "test_a_hook_that_needs_an_encounter_is_refused_without",
    "order-select requires selections and draftOrders; order-sign draftOrders":
        "test_draft_orders_join_the_chart_and_of_a_selection_only_what_was_selected",
    "fhirAuthorization requires fhirServer (cds-r-1)":
        "test_a_call_that_breaks_the_standard_is_refused",
    "unknown fields are tolerated": "test_unknown_fields_are_tolerated",
    "absent, null, error and data are told apart in prefetch":
        "test_absent_null_and_empty_are_three_things",
    "412 when data are missing and cannot be fetched":
        "test_without_a_prefetch_key_nothing_is_asked",
    "an unknown service is 404": "test_a_call_that_breaks_the_standard_is_refused",
    "a summary is shorter than 140 characters":
        "test_a_summary_is_always_short_enough_and_says_how_much_more_there_is",
    "indicator is info, warning or critical":
        "test_every_card_has_the_shape_that_clients_draw",
    "source.label is required": "test_every_card_has_the_shape_that_clients_draw",
    "detail is Markdown without HTML":
        "test_markup_in_a_vendors_words_is_dead_and_small_numbers_stay",
    "suggestions need selectionBehavior (none are sent)":
        "test_every_card_has_the_shape_that_clients_draw",
    "each override reason has code, system and display (cds-resp-4)":
        "test_every_card_has_the_shape_that_clients_draw",
    "a card has a uuid for feedback":
        "test_each_tool_has_a_card_of_its_own_with_version_record_and_disclosure",
    "systemActions are not used without agreement (none are sent)":
        "test_every_card_has_the_shape_that_clients_draw",
    "feedback outcome is accepted or overridden (cds-fb-1)":
        "test_feedback_that_breaks_the_standard_is_refused",
    "accepted names acceptedSuggestions (cds-fb-2)":
        "test_feedback_that_breaks_the_standard_is_refused",
    "overrideReason has a reason or a comment (cds-fb-3)":
        "test_feedback_that_breaks_the_standard_is_refused",
    "feedback may come again": "test_feedback_is_on_the_record_once_and_its_comment_never",
    "alg is asymmetric, never none or HMAC": "test_a_token_that_does_not_hold_is_refused",
    "kid and typ are required": "test_a_token_that_does_not_hold_is_refused",
    "jku is allowed only from a list": "test_a_token_that_does_not_hold_is_refused",
    "iss is on a list": "test_a_token_that_does_not_hold_is_refused",
    "aud is the exact address, as a string or in an array":
        "test_an_audience_may_be_a_list_that_holds_this_address",
    "exp and iat are required numbers": "test_a_token_that_does_not_hold_is_refused",
    "jti is accepted once": "test_a_token_is_accepted_once",
    "a tenant that is not allowed is 403":
        "test_a_tenant_that_is_not_listed_is_known_and_not_allowed",
    "an access token is transient: not kept, not logged":
        "test_a_token_that_the_ehr_hands_over_goes_nowhere",
    "browsers need CORS with Authorization, and preflights without a token":
        "test_a_browser_of_a_listed_origin_may_ask_and_no_other",
}  # fmt: skip


@pytest.mark.parametrize("requirement", MET)
def test_each_requirement_names_a_test_that_exists(requirement: str) -> None:
    names = {
        name
        for file in FOLDER.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert MET[requirement] in names

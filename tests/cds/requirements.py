"""Every mandatory statement of CDS Hooks 2.0.1 that binds a service, in words of our own.

Read line by line from the published text: each SHALL, each MUST and each attribute that is REQUIRED
or CONDITIONAL is a row, if a service has to do it, to send it or to check it. What binds clients
or the authors of hooks alone is not here. Fields of one object have a row each, because each can
break alone. Statements that the text makes twice are one row; recommendations (SHOULD) are rows
only where this service relies on them, and say so.

``Verdict``: ``met``, and the tests say where; ``unused``, the service never sends or reads such a
thing, and a test shows that; ``deployment``, met by what stands in front of the process;
``not met``.

Source: CDS Hooks 2.0.1, docs/specification/current.md of cds-hooks/docs at 462a38f; hook contexts
from the hook definitions beside it.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Verdict = Literal["met", "unused", "deployment", "not met"]


class Requirement(NamedTuple):
    """One row. ``tests`` are names in tests/cds or tests/attack; ``why`` explains the others."""

    part: str
    says: str
    verdict: Verdict
    tests: tuple[str, ...]
    why: str = ""


def _met(part: str, says: str, *tests: str) -> Requirement:
    return Requirement(part, says, "met", tests)


def _unused(part: str, says: str, why: str, *tests: str) -> Requirement:
    return Requirement(part, says, "unused", tests, why)


_BREAKS = "test_a_call_that_breaks_the_standard_is_refused"
_FORGED = "test_a_token_that_does_not_hold_is_refused"
_SHAPE = "test_every_card_has_the_shape_that_clients_draw"
_WHOLE = "test_nothing_that_is_sent_is_null_or_empty"
_ONLY = "test_a_card_holds_only_what_is_listed_here"
_TEMPLATES = "test_every_template_stays_within_the_subset_that_clients_know"
_FEEDBACK = "test_feedback_that_breaks_the_standard_is_refused"
_NO_SUGGESTION = "no suggestion is ever sent: what a tool recommends is told in words"
_TOKEN_DROPPED = "the token that an EHR hands over is dropped: the gateway fetches as itself"

REQUIREMENTS: Final = (
    # --- how data are exchanged ---
    _met("exchange", "what is sent is JSON, and says so", "test_what_is_sent_is_json_and_says_so"),
    _met("exchange", "what is received is JSON", _BREAKS,
         "test_what_is_no_json_object_of_a_call_is_refused"),
    Requirement("exchange", "production data travel over HTTPS only", "deployment", (),
                "the process speaks HTTP to a TLS terminator in front of it (docs/operators.md); "
                "every address that it calls itself must be https"),
    _met("exchange", "no element is null where the text does not allow it", _WHOLE),
    _met("exchange", "no element is empty where the text does not allow it", _WHOLE),
    _met("exchange", "an optional attribute without a value is left out", _WHOLE),
    # --- discovery ---
    _met("discovery", "discovery is always at {base}/cds-services",
         "test_discovery_is_open_and_lists_what_can_be_called"),
    _met("discovery", "it answers with an object that holds the list of services",
         "test_discovery_is_open_and_lists_what_can_be_called"),
    _met("discovery", "a server without services answers 200 with an empty list",
         "test_without_services_discovery_is_an_empty_list"),
    _met("discovery", "a service has a hook", "test_a_descriptor_has_what_the_standard_requires"),
    _met("discovery", "a service has a description",
         "test_a_descriptor_has_what_the_standard_requires"),
    _met("discovery", "a service has an id, and is called at {base}/cds-services/{id}",
         "test_a_descriptor_has_what_the_standard_requires",
         "test_every_service_that_is_listed_can_be_called_by_its_id"),
    _met("discovery", "prefetch is an object of keys and query strings",
         "test_every_template_stays_within_the_subset_that_clients_know"),
    _met("discovery", "usageRequirements is text a person can read",
         "test_a_descriptor_has_what_the_standard_requires"),
    # --- the call ---
    _met("call", "a call is a POST of a JSON object", _BREAKS,
         "test_what_is_no_json_object_of_a_call_is_refused"),
    _met("call", "hook is required", _BREAKS),
    _met("call", "hook is the one that this service belongs to", _BREAKS),
    _met("call", "hookInstance is required", _BREAKS),
    _met("call", "hookInstance is a UUID", _BREAKS),
    _met("call", "context is required", _BREAKS),
    _met("call", "fhirServer is required where fhirAuthorization is given", _BREAKS),
    _met("call", "fhirServer is an https address; no other is ever spoken to",
         "test_an_ehr_names_a_server_and_nobody_goes_there",
         "test_no_other_server_than_the_configured_one_is_asked"),
    _met("call", "prefetch may be left out",
         "test_a_call_without_any_prefetch_lacks_everything"),
    _met("call", "fields that the service does not know are tolerated",
         "test_unknown_fields_are_tolerated"),
    # --- contexts of the hooks ---
    _met("context", "userId is required, as Type/id of a person", _BREAKS),
    _met("context", "patientId is required, as a bare id", _BREAKS),
    _met("context", "encounterId, where given, is a bare id", _BREAKS),
    _met("context", "encounter-discharge and encounter-start require encounterId",
         "test_a_hook_that_needs_an_encounter_is_refused_without"),
    _met("context", "order-select requires selections",
         "test_draft_orders_join_the_chart_and_of_a_selection_only_what_was_selected"),
    _met("context", "order-select requires draftOrders, of which the selections are part",
         "test_draft_orders_join_the_chart_and_of_a_selection_only_what_was_selected"),
    _met("context", "order-sign requires draftOrders",
         "test_draft_orders_join_the_chart_and_of_a_selection_only_what_was_selected"),
    # --- prefetch ---
    _met("prefetch", "a service uses only the keys that it asked for",
         "test_the_chart_holds_what_was_asked_for_as_it_was_given"),
    _met("prefetch", "it checks which of its keys were satisfied",
         "test_absent_null_and_empty_are_three_things"),
    _met("prefetch", "an absent key was not satisfied, and says nothing of the patient",
         "test_absent_null_and_empty_are_three_things",
         "test_without_a_prefetch_key_nothing_is_asked"),
    _met("prefetch", "null says that there are no data",
         "test_null_says_that_there_is_none_and_is_enough"),
    _met("prefetch", "an OperationOutcome is looked for, also within a Bundle (SHOULD)",
         "test_absent_null_and_empty_are_three_things"),
    _met("prefetch", "what is missing is fetched where it can be",
         "test_what_the_ehr_left_out_is_fetched_from_its_configured_server"),
    _met("prefetch", "412 where it is missing and cannot be fetched",
         "test_without_a_prefetch_key_nothing_is_asked"),
    _met("prefetch", "tokens stand between {{ and }}", _TEMPLATES),
    _met("prefetch", "a token is a field of the context or one of the four user ids", _TEMPLATES),
    _met("prefetch", "a field of the context is written context.name", _TEMPLATES),
    _met("prefetch", "only root fields with a plain value are tokens", _TEMPLATES),
    _met("prefetch", "only fields that the hook offers as tokens are used", _TEMPLATES),
    _met("prefetch", "of interactions: read by id and search by type only", _TEMPLATES),
    _met("prefetch", "references are searched by a token alone", _TEMPLATES),
    _met("prefetch", "token parameters by equality, with no modifier but :in", _TEMPLATES),
    _met("prefetch", "dates, where used, with eq, lt, gt, ge and le (none is used)", _TEMPLATES),
    _met("prefetch", "_count and _sort, and no other result parameter", _TEMPLATES),
    # --- the EHR's FHIR server ---
    _unused("fhir access", "access_token is required in fhirAuthorization", _TOKEN_DROPPED,
            "test_an_access_token_that_is_handed_over_is_dropped"),
    _unused("fhir access", "token_type is Bearer", _TOKEN_DROPPED,
            "test_an_access_token_that_is_handed_over_is_dropped"),
    _unused("fhir access", "expires_in is required", _TOKEN_DROPPED,
            "test_an_access_token_that_is_handed_over_is_dropped"),
    _unused("fhir access", "scope is required", _TOKEN_DROPPED,
            "test_an_access_token_that_is_handed_over_is_dropped"),
    _unused("fhir access", "subject is required", _TOKEN_DROPPED,
            "test_an_access_token_that_is_handed_over_is_dropped"),
    _unused("fhir access", "patient names whom patient/ scopes are about (SHOULD)", _TOKEN_DROPPED,
            "test_an_access_token_that_is_handed_over_is_dropped"),
    _met("fhir access", "the access token is transient: not kept and not logged",
         "test_a_token_that_the_ehr_hands_over_goes_nowhere"),
    _met("fhir access", "each request to the EHR carries a valid token of the service's own",
         "test_what_the_ehr_left_out_is_fetched_from_its_configured_server"),
    _met("fhir access", "the service is registered beforehand: only configured servers are asked",
         "test_no_other_server_than_the_configured_one_is_asked"),
    # --- the answer ---
    _met("answer", "success is 200 with an object",
         "test_an_ehr_gets_a_card_from_every_tool_and_no_identifier_leaves"),
    _met("answer", "cards is required",
         "test_an_ehr_gets_a_card_from_every_tool_and_no_identifier_leaves"),
    _met("answer", "no guidance is an empty array of cards", "test_nothing_to_say_is_no_card"),
    _unused("answer", "systemActions follow the shape of an action",
            "nothing is proposed that an EHR would apply by itself", _ONLY),
    # --- a card ---
    _met("card", "uuid, where given, identifies the card: feedback is found by it",
         "test_each_tool_has_a_card_of_its_own_with_version_record_and_disclosure",
         "test_feedback_is_on_the_record_once_and_its_comment_never"),
    _met("card", "summary is required", _SHAPE),
    _met("card", "summary is shorter than 140 characters", _SHAPE,
         "test_a_summary_is_always_short_enough_and_says_how_much_more_there_is"),
    _met("card", "detail is GitHub-flavoured Markdown; no HTML is alive in it", _SHAPE,
         "test_markup_in_a_vendors_words_is_dead_and_small_numbers_stay"),
    _met("card", "indicator is required: info, warning or critical", _SHAPE),
    _met("card", "source is required", _SHAPE),
    _met("card", "source.label is required", _SHAPE),
    _unused("card", "source.url is absolute", "it is not sent", _ONLY),
    _unused("card", "source.icon is an absolute address of a PNG", "it is not sent", _ONLY),
    _met("card", "source.topic is a Coding with code and system", _SHAPE),
    _met("card", "each override reason has a display", _SHAPE),
    _met("card", "each override reason has code and system", _SHAPE),
    _unused("card", "suggestions need selectionBehavior", _NO_SUGGESTION, _ONLY),
    _unused("card", "selectionBehavior is at-most-one or any", _NO_SUGGESTION, _ONLY),
    _unused("suggestion", "label is required", _NO_SUGGESTION, _ONLY),
    _unused("action", "type is create, update or delete", _NO_SUGGESTION, _ONLY),
    _unused("action", "description is required", _NO_SUGGESTION, _ONLY),
    _unused("action", "create holds a new resource, update the whole one", _NO_SUGGESTION, _ONLY),
    _unused("action", "delete names resourceId (SHOULD)", _NO_SUGGESTION, _ONLY),
    _unused("link", "label is required", "no link is sent", _ONLY),
    _unused("link", "url is required", "no link is sent", _ONLY),
    _unused("link", "type is absolute or smart", "no link is sent", _ONLY),
    # --- feedback ---
    _met("feedback", "it is taken at {base}/cds-services/{id}/feedback",
         "test_feedback_is_on_the_record_once_and_its_comment_never"),
    _met("feedback", "the body is an object that holds an array",
         "test_feedback_is_an_object_that_holds_items"),
    _met("feedback", "card is required", _FEEDBACK),
    _met("feedback", "outcome is accepted or overridden", _FEEDBACK),
    _met("feedback", "accepted names acceptedSuggestions", _FEEDBACK),
    _met("feedback", "an accepted suggestion has an id", _FEEDBACK),
    _met("feedback", "overrideReason holds a reason, a comment or both", _FEEDBACK),
    _met("feedback", "outcomeTimestamp is required, as RFC 3339 has it", _FEEDBACK),
    _met("feedback", "the same item may come again, and several at once",
         "test_feedback_is_on_the_record_once_and_its_comment_never"),
    # --- who calls ---
    _met("client", "a request carries its JWT as Authorization: Bearer",
         "test_a_token_works_once_and_none_at_all_not_at_all"),
    _met("client", "a service that could expose data requires authentication (SHOULD)",
         "test_a_token_works_once_and_none_at_all_not_at_all"),
    _met("client", "the signature is checked with the client's own key", _FORGED),
    _met("client", "alg is required", _FORGED),
    _met("client", "never alg none", _FORGED),
    _met("client", "never a symmetric algorithm", _FORGED),
    _met("client", "kid is required, and finds one key of the set", _FORGED),
    _met("client", "typ is JWT", _FORGED),
    _met("client", "iss is required, and on a list", _FORGED),
    _met("client", "aud is required: the address that is called, alone or in an array", _FORGED,
         "test_an_audience_may_be_a_list_that_holds_this_address",
         "test_a_token_must_be_for_this_very_service"),
    _met("client", "exp is required, in seconds", _FORGED),
    _met("client", "iat is required, in seconds", _FORGED),
    _met("client", "jti is required, and taken once by all replicas together", _FORGED,
         "test_of_one_token_at_two_replicas_at_once_one_use_holds"),
    _met("client", "keys come from a jku on a list, or were exchanged beforehand", _FORGED,
         "test_a_new_key_is_found_and_a_known_one_needs_no_fetch"),
    _met("client", "a tenant that is not listed is refused (our own rule)",
         "test_a_tenant_that_is_not_listed_is_known_and_not_allowed"),
    _met("client", "browsers of listed origins may call, and no others (SHOULD)",
         "test_a_browser_of_a_listed_origin_may_ask_and_no_other"),
    # --- extensions ---
    _met("extension", "an extension is an object, its names begin with a domain", _ONLY),
    _met("extension", "an extension of the caller breaks nothing",
         "test_unknown_fields_are_tolerated"),
)  # fmt: skip

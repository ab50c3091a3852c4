"""The vendor-neutral nouns and their FHIR R4 form; alone in importing ``fhir.resources``."""

"""The vendor-neutral nouns and their FHIR R4 form; the only package that imports ``fhir.resources``."""

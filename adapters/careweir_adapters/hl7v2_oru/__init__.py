"""HL7 v2 results: ORU^R01 out over HTTP, ORU^R01 or an acknowledgement in, or pushed."""

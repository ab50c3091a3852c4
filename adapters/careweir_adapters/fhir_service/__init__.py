"""FHIR-native decision support: RiskAssessment and GuidanceResponse."""

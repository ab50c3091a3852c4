"""CDS Hooks 2.0 service as a vendor."""

"""Rehearse the outages of a configuration and show what callers would have seen."""

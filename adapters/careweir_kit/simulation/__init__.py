"""Simulated vendors: a process each, true wire formats over HTTP, faults on request."""

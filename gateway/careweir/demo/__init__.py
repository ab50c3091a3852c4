"""The demonstration: simulated vendors, synthetic patients, a token issuer of its own.

Nothing here runs without ``--demo`` or ``careweir demo``.
"""

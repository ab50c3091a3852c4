"""Da Vinci Prior Authorization Support: Claim/$submit."""

"""Any JSON API over HTTP, described by a tool file alone."""

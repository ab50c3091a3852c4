"""MLflow scoring server."""

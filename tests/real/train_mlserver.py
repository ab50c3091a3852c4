"""Train a small model and lay it out for MLServer: ``python train_mlserver.py FOLDER PORT``.

Runs in the virtual environment of the server. The data are random; the model is no medicine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib  # type: ignore[import-not-found]  # of the server's own environment
import numpy as np
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found]


def main(folder: Path, port: int) -> None:
    """Age, haemoglobin, sodium, creatinine -> readmitted or not."""
    random = np.random.default_rng(7)
    rows = random.normal([70, 11, 137, 1.2], [12, 2, 4, 0.6], (400, 4))
    strain = 0.03 * rows[:, 0] - 0.3 * rows[:, 1] + 0.8 * rows[:, 3]
    back = (strain + random.normal(0, 1, 400) > 0).astype(int)
    folder.mkdir()
    joblib.dump(LogisticRegression(max_iter=1000).fit(rows, back), folder / "model.joblib")
    model = {
        "name": "readmit30",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib", "version": "3.0.1"},
    }
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": 0, "metrics_port": 0,
                "parallel_workers": 0}  # fmt: skip
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "settings.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

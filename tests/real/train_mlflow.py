"""Train and save the small model that the real MLflow server then serves; run by its own Python."""

import sys

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(7)
columns = {
    "age": rng.uniform(20, 95, 600),
    "los_days": rng.uniform(0, 20, 600),
    "prior_adm": rng.integers(0, 6, 600).astype(float),
}
table = pd.DataFrame(columns)
score = 0.02 * (table.age - 60) + 0.1 * (table.los_days - 5) + 0.5 * (table.prior_adm - 1)
outcome = (score + rng.normal(0, 1, 600) > 0).astype(int)
model = LogisticRegression(max_iter=500).fit(table, outcome)
signature = infer_signature(table, model.predict_proba(table))
mlflow.sklearn.save_model(
    model, sys.argv[1], signature=signature, pyfunc_predict_fn="predict_proba"
)

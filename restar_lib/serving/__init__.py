"""The HTTP API. Imports the inference engine and FastAPI, never Airflow, MLflow, Evidently or training code."""

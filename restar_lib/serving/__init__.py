"""The HTTP API (DESIGN section 10): predictions of the champion, following releases without a failed request.

In: requests; the pointer. Out: answers, Prometheus' numbers. It imports the inference engine and FastAPI, never
Airflow, MLflow, Evidently, training code or a database.
"""

"""Re*Star: what a product review really says, learned with people in the loop.

Everything that thinks lives here; `dags/` and `plugins/` only wire it to Airflow. Importing this package imports
neither Airflow nor any of the heavy libraries (torch, transformers, datasets, evidently, mlflow, pandas).
"""

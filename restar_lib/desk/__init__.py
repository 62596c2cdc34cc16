"""The label desk and the report pages as they appear inside Airflow's UI."""

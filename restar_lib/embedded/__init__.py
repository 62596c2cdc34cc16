"""`make run`: PostgreSQL, Airflow, the API and a mail catcher on one machine, supervised by us."""

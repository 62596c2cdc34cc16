"""`make run`: PostgreSQL, Airflow, the API and a mail catcher on one machine, started and supervised by us.

In: a state folder and a source of reviews. Out: running services, turns of the loop driven through Airflow's API, and
a summary. Production is `docker-compose.yaml`, which uses nothing of it.
"""

"""The label desk and the report pages, as one web application inside Airflow's UI.

In: requests of people whom Airflow's login knows. Out: pages, and calls of the labeling queue. Rules of the queue are
`labeling`'s; what a report says is decided where it is written.
"""

"""Where Airflow ends and Re*Star begins: what every DAG file needs, and nothing that thinks.

`house` holds the rules and assets that DAGs share, `tasks` what a running task works with and how it ends, `labels` the
trigger that carries finished labels from the database to Airflow, `mail` the way out over Airflow's SMTP connection.

Decides nothing about reviews, labels or models, and holds no SQL. The only package, beside the label desk's login, that
imports Airflow; everything heavy is imported inside functions, because every parse of a DAG file imports this.
"""

from restar_lib.orchestration.airflow_mail import send_mail
from restar_lib.orchestration.dag_defaults import DRIFT, REVIEWS, finished_labels, house_rules
from restar_lib.orchestration.tasks import Summary, TaskContext, duty, heavy, skip, step

__all__ = [
    "DRIFT",
    "REVIEWS",
    "TaskContext",
    "Summary",
    "duty",
    "finished_labels",
    "heavy",
    "house_rules",
    "send_mail",
    "skip",
    "step",
]

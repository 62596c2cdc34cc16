"""Where Airflow ends and Re*Star begins: what every DAG file needs, and no decision about reviews, labels or models.

`dag_defaults` holds the arguments and assets that DAGs share, `tasks` what a running task works with and how it ends,
`approval` and `trigger_forms` the questions to people, `labels_trigger` and `reviews_trigger` what looks for
finished labels and unread reviews, `airflow_mail` mail over Airflow's SMTP connection, `roles` who may do what in
production.

It holds no SQL. The only package, beside the label desk's login, that imports Airflow; everything heavy is imported
inside functions, because every parse of a DAG file imports this.
"""

from restar_lib.orchestration.airflow_mail import send_mail
from restar_lib.orchestration.dag_defaults import DRIFT, REVIEWS, dag_arguments, labels_asset, reviews_asset
from restar_lib.orchestration.tasks import Summary, TaskContext, in_child_process, skip, step, task_context

__all__ = [
    "DRIFT",
    "REVIEWS",
    "Summary",
    "TaskContext",
    "dag_arguments",
    "in_child_process",
    "labels_asset",
    "reviews_asset",
    "send_mail",
    "skip",
    "step",
    "task_context",
]

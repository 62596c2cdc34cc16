"""From finished labels to a champion.

When labels are worth announcing (`lookout`), when a challenger is trained (`reasons`, `standing`), and the steps of a
training (`steps`): those of DAG `retrain_sentiment`. Nothing here knows Airflow.
"""

"""From finished labels to a champion: when a challenger is trained (`reasons`), and the steps of that (`steps`).

The steps are those of DAG `retrain_sentiment`; nothing here knows Airflow.
"""

"""From finished labels to a champion: when a training starts (`policy`), and its steps (`pipeline`).

In: the state of labels, incidents and verdicts. Out: merged labels, a snapshot, a challenger, a verdict, a release;
DAG `retrain_sentiment` calls the steps in order. Nothing here knows Airflow.
"""

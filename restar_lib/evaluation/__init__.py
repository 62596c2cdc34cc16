"""What a model version is worth: figures with intervals on rows with a truth, against baselines and by slices.

In: a sealed model and a snapshot, or plain arrays. Out: metrics, an evaluation report and its page (`report/`), the
profile of a snapshot (`profile/`), the behaviour cases (`behaviour/`). It decides nothing; the gate does.
"""

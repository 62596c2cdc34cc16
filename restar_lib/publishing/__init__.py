"""Training sets and models for others: as a folder or a repository on the hub, each with a card that says what it is.

In: a snapshot (`publish_snapshot`) or a sealed version (`publish_model`). Out: a push to a `target`. Nothing is
published by itself: a person runs `restar snapshot push` or `restar model push`.
"""

"""Training sets and models for others: as a folder or a repository on the hub, each with a card that says what it is.

`snapshot` and `model` decide what goes out and `cards` says it in words; `target` brings it there. Nothing is published
by itself: a person runs `restar snapshot push` or `restar model push`.
"""

"""Training sets: which reviews stand in one, on which side, with which truth; frozen and named by their content.

In: stored reviews and consensus labels. Out: an immutable snapshot folder with train, validation and test side, and
what a model has learned of given rows (`training_overlap`). It trains nothing and asks nobody.
"""

"""Made-up product reviews with a known true sentiment, from a seed: for the embedded default, demos and tests.

In: section `simulated` of the settings and a number. Out: one review, always the same. It says nothing about real
reviews.
"""

"""The cheap modes: a linear head on a frozen encoder's features, fitted anew or moved towards the newest rows.

In: features [n, d] and classes. Out: the head's weights in the network. The encoder stays as it is.
"""

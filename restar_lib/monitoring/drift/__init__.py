"""How far a window of reviews is from the reference, beyond what chance explains; and the page that shows it.

In: two samples of the watched columns. Out: distances (Evidently's and ours), findings, a page. It tells nobody.
"""

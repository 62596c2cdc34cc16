"""What only a whole file tells: the scale of its ratings, the order of its dates, and whether it is misread.

In: the rows of a file as the readers give them. Out: `shape.FileShape`, by which its rows are resolved, or an error
that says what to set. What is certain is taken, what can be read in two ways is never guessed.
"""

"""Forms of files: from bytes to rows, from any position on, in constant memory.

In: a path or URL on any storage. Out: raw rows, each with the position to go on from. They judge no value and store
nothing; a form is added in `formats`.
"""

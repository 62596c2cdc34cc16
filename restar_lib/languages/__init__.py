"""In which script and language a text is written, and how long it is in words where no blanks are written.

In: a text. Out: its language where that is sure, its words. Pure functions; knows no model and no review: what a model
reads is a property of the model (`inference.engine.ModelInfo.languages`), `inference.abstaining` compares the two.
"""

"""The inference engine: texts in, calibrated probabilities out, on CPU, with ONNX Runtime and without torch.

In: a model folder and texts. Out: probabilities (`engine`), and answers in words and stars (`answers`). It verifies
no checksum (`artifacts` does) and knows no database: serving, scoring and the gate use the same one.
"""

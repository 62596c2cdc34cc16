"""The inference engine (ONNX Runtime, no torch) and batch scoring into table `prediction`."""

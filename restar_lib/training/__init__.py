"""Fine-tuning and the cheap mode, calibration, export to ONNX. The only package that imports torch."""

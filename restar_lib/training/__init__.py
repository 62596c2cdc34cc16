"""From a snapshot to a complete model folder: learn, calibrate, export to ONNX. The only room that imports torch.

In: a snapshot, section `training` of the settings, earlier versions where configured. Out: a work folder ready to be
sealed. It judges and releases nothing. `fine_tuning/` trains the whole network, `linear_head/` a head on frozen
features.
"""

"""A trained model as a folder that stands alone: its network in ONNX, quantised, compared with the run, and timed."""

"""Prediction from an exported folder with onnxruntime, tokenizers and NumPy alone: no torch, no transformers.

>>> model = nlp_transfer.runtime.load("runs/mine/exported")
>>> model.predict(["My card has not arrived."])[0].label
"""

from nlp_transfer.runtime.exported_model import Model, load

__all__ = ["Model", "load"]

"""Turns a folder saved by diffusers' ``save_pretrained`` into the ONNX networks of a FlexCache model package."""

#: Part of what a finished network is recognised by: raise it when exported files change.
__version__ = "1.0.0"

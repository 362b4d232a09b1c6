"""Rewrite the control flow of ONNX files made elsewhere."""

"""Compile trained dynamic networks to ONNX Runtime and TensorRT artifacts."""

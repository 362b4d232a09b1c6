"""What TensorRT accepts; nothing here imports a builder."""

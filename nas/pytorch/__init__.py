"""The doors from PyTorch: modules and .pt2 files become ONNX, once."""

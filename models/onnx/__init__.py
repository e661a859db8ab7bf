"""Networks as ONNX graphs, for apps that bring their own runtime. Needs neither torch nor onnx."""

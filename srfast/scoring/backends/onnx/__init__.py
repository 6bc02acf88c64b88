"""The scorer as an ONNX graph, and ONNX Runtime as a backend."""

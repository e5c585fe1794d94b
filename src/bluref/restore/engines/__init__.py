"""What runs a network: torch, ONNX Runtime, OpenVINO; exported files; how fast each is."""

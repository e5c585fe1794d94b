"""The networks: NAFNet, Restormer, and pooling as wide as training was."""

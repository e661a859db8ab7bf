"""The networks without PyTorch: twins in numpy and C of those that are trained."""

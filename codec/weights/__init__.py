"""Weights of networks: files of tensors, exactly."""

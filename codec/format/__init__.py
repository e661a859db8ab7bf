"""The syntax of files: what is written is read by the same lines."""

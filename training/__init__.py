"""What train.py is made of: configuration, losses, optimiser, export."""

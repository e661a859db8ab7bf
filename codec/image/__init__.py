"""Other people's pictures in and out: Pillow, what it leaves out, and what colours mean."""

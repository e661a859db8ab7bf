"""Arrays of floats: targets, quantiser, ways of coding, and the files they come from."""

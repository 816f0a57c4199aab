"""NumPy: inference only, with nothing to compile."""

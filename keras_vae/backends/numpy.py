"""NumPy: inference only, and nothing to compile."""

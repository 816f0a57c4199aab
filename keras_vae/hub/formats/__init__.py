"""Formats of files of weights, one module each: `read` puts a file into a model, or refuses it."""

"""The package behind the book of executable paediatric-ECG chapters."""

__version__ = "0.1.0"

"""The version of balancekit; the build reads it from here."""

__version__ = "0.1.0"
"""The version of this release."""

"""Amounts, currencies, balances and their totals, and results as text and JSON: pure and exact."""

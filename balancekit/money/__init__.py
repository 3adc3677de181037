"""From the digits that a provider sent to totals, and to text and JSON: pure, and exact."""

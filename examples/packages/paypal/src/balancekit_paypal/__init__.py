"""PayPal's balances for balancekit: `provider = "paypal"` in `accounts.toml`, or `PayPalProvider` in a program."""

from balancekit_paypal.provider import PayPalProvider

__all__ = ["PayPalProvider"]

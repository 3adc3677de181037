"""Stripe's balances for balancekit: `provider = "stripe"` in `accounts.toml`, or `StripeProvider` in a program."""

from balancekit_stripe.currencies import UNITS
from balancekit_stripe.provider import StripeProvider

__all__ = ["UNITS", "StripeProvider"]

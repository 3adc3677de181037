"""What a verified webhook says: that something happened to an account, never how much it holds."""

import attrs


@attrs.frozen
class WebhookEvent:
    """A verified delivery of a provider's webhook.

    `event_id` is the same in every delivery of one event. `event_type` and `status` are the provider's own words, None
    where it has none. `settled` is whether the account's balances may have changed.
    """

    account: str
    provider: str
    event_id: str
    event_type: str | None
    status: str | None
    settled: bool

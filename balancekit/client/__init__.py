"""The client that reads many accounts at once."""

"""One module a contender: each does the same duty, and signs as the APIs want it."""

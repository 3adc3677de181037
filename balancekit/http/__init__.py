"""One request to one origin, and what its response means."""

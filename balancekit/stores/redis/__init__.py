"""A store in Redis, which many replicas share; it needs the extra `redis`."""

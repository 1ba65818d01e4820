"""Mirroring: what comes from upstreams. Pages are refreshed and taken in, files fetched once, verified and stored."""

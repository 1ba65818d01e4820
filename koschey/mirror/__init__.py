"""Mirroring of upstreams: refreshes their pages, and downloads, verifies and stores each of their files once."""

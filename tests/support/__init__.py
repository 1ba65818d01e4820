"""Helpers that tests share: servers, programs, builders of archives, and clients of an index."""

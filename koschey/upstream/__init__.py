"""Talking to the indexes that Koschey mirrors."""

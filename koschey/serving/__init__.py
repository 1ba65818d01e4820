"""Serving: what goes out. Pages, documents and lists as ready bytes, made of released files alone."""

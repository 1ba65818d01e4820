"""Serving of pages, documents, lists and files to clients, as the verdict on each file allows."""

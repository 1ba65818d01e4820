"""Assertions about any package index that can be checked by reading alone, one small function each.

client     what the checks need of an HTTP client: one request, one answer
subject    the index under examination: its pages and files, each read once
checks     the registry, and how a check says that it failed or does not apply
examine    runs them all
the rest   the checks, one module for each part of the standards
"""

"""Koschey: a corporate Python package index that mirrors, hosts and quarantines."""

__version__ = "0.1.0"

"""Hosting: private packages, from their upload to their removal."""

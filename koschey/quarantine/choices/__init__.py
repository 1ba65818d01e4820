"""Carries out each choice: a function from a change to its outcome. Related choices share a module."""

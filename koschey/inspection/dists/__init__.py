"""Distributions: what makes an archive a wheel (PEP 427) or an sdist (PEP 625)."""

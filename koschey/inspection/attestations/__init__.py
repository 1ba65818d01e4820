"""Signatures of attestations (PEP 740), and the root of trust under which they are verified."""

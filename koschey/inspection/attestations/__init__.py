"""Signatures of attestations (PEP 740), and whose signatures are believed."""

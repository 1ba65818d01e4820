"""Formats of archives: ZIP and TAR read exactly, and the rules that both must keep."""

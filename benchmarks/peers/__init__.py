"""Koschey beside other package indexes: the same work, the same machine, one run (`python -m benchmarks.peers`)."""

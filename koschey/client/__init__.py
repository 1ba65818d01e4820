"""The HTTP client of the developer commands. No module here connects to a database or a bucket.

http            one request, one complete answer, under the egress rules
index_api       the API of an index: explain, request, preflight
locks, requirements    the pins of lock files
checks, check_reports  whether an index serves all pins, and the reports of that for CI
installed, origins, sbom    the sources of an environment's distributions
"""

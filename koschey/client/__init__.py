"""What developers do with a Koschey over HTTP. Nothing here reaches a database or a bucket.

http            one request, one complete answer, under the egress rules
index_api       the API of an index: explain, request, preflight
locks, requirements    what lock files pin
checks, check_reports  whether an index serves all of it, and what CI reads of that
installed, origins, sbom    where the distributions of an environment came from
"""

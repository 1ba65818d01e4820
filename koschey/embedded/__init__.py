"""`koschey up`: PostgreSQL, S3, Temporal, web and worker as children of one process, over one folder.

    up          the order in which everything starts, and what happens when it cannot
    supervisor  the children that run: readiness, restarts, stop
    child       one child process: its log, its process group, its end
    leash       what every child is started through, so that none outlives us
    leftovers   ends what a killed `koschey up` could not
    data_folder, secret_file, ports, environment, account, binaries
    postgres, s3, temporal, own_parts    the parts
    banner      what is printed

PostgreSQL, S3 and Temporal listen on loopback only.
"""

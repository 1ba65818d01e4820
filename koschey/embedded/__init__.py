"""`koschey up`: PostgreSQL, S3, Temporal, web and worker as children of one process, over one folder.

    up          the order in which everything starts, and what happens if a part cannot start
    supervisor  the child processes: readiness, restarts, stop
    child       one child process: its log, its process group, its end
    leash       the launcher of every child, so that no child outlives us
    leftovers   ends the processes that a killed `koschey up` left running
    data_folder, secret_file, ports, environment, account, binaries
    postgres, s3, temporal, own_parts    the parts
    banner      the output of `koschey up`

PostgreSQL, S3 and Temporal listen on loopback only.
"""

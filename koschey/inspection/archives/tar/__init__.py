"""TAR files (POSIX ustar, pax and GNU), read exactly."""

"""ZIP files (APPNOTE 4.3), read exactly."""

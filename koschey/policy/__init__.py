"""The heart: what is served, what is held, and why. Pure functions of data; no I/O, no clock of their own."""

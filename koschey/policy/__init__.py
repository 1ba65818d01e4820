"""Decides what is served, what is held, and why: pure functions of data, without I/O and without a clock."""

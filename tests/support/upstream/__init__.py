"""A small real package index on loopback, with a switch for every misbehaviour."""

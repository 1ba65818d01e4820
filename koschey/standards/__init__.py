"""The packaging standards, as pure functions of data."""

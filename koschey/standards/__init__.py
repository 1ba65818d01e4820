"""What the packaging standards say, as pure functions of data."""

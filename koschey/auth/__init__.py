"""Authentication and authorization: which account a client has, and what it may do."""

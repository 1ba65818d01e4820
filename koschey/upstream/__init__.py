"""Requests to the indexes that Koschey mirrors, to the advisory feed and to the webhook."""

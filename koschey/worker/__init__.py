"""The worker process: it runs workflows and activities, relays the outbox, and starts what always runs."""

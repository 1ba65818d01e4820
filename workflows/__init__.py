"""The durable workflows, one in each module. They are deterministic: activities decide by PostgreSQL."""

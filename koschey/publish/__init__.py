"""Writing: uploads, and what people and time decide about files."""

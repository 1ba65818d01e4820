"""Tasks: work that many wait for and one does, and work that goes on for as long as its process."""

"""What each choice does: one module for those that belong together, each a function from a change to its outcome."""

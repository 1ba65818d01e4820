"""HTTP for machines: one module per noun. Handlers parse, call one function, and render."""

"""What the commands do: one module per noun. `koschey.cli` reads the command line and calls one function of them."""

"""`python -m koschey` runs the command `koschey`."""

from koschey.cli import main

main()

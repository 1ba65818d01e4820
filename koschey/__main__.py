"""`python -m koschey` is the command `koschey`."""

from koschey.cli import main

main()

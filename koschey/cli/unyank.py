"""Unyank a hosted release, so that installers choose it again.

Example: koschey unyank 'acme==1.0' --reason 'it starts'
"""

from koschey.cli.base.hosted import yanking_command
from koschey.hosting.projects import unyank

command = yanking_command("unyank", unyank, __doc__)

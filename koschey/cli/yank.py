"""Yank a hosted release: installers skip it unless it is pinned (PEP 592).

Example: koschey yank 'acme==1.0' --reason 'does not start'
"""

from koschey.cli.base.hosted import yanking_command
from koschey.hosting.projects import yank

command = yanking_command("yank", yank, __doc__)

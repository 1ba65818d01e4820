"""Make a mirrored name private, and show who downloaded its files.

Koschey no longer serves its mirrored files, no longer requests the name from an upstream, and accepts uploads under it.
The command shows how much of it is in use, and asks for the name.

Example: koschey claim acme-tools --reason 'our package'
"""

from koschey.cli.base.handover import handover_command
from koschey.governance.claims import claim

command = handover_command("claim", claim, __doc__)

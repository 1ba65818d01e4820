"""Give a private name back to its upstream: the reverse of `koschey claim`.

Koschey no longer serves its uploaded files, and keeps them in the bucket. Files that were mirrored before are held
again. The command shows how much of it is in use, and asks for the name.

Example: koschey release-name acme-tools --reason 'we gave the project up'
"""

from koschey.cli.base.handover import handover_command
from koschey.governance.claims import release_name

command = handover_command("release-name", release_name, __doc__)

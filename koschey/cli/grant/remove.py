"""Remove a grant: the role, the account or the group, the projects and the index are those with which it was made.

If it is the grant of the last admin, the command warns: only the command line can make another one.

Example: koschey grant remove uploader --account ci --project 'acme-*' --reason 'moved to another server'
"""

from koschey.cli.base.grants import granting_command
from koschey.governance.grants import remove_grant

command = granting_command("remove", remove_grant, __doc__)

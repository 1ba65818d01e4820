"""Grant a role to an account or to a group.

Example: koschey grant add uploader --account ci --project 'acme-*' --reason 'the build server'
"""

from koschey.cli.base.grants import granting_command
from koschey.governance.grants import add_grant

command = granting_command("add", add_grant, __doc__)

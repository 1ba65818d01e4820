"""Disable an account: its sessions end, and its password and tokens prove nothing.

It takes effect within a second in every process. If the last admin is disabled, the command warns: only the command
line can make another one.

Example: koschey account disable ada --reason 'changed teams'
"""

from koschey.cli.base.rights import account_command
from koschey.governance.accounts import disable_account

command = account_command("disable", disable_account, __doc__)

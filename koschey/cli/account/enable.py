"""Enable a disabled account again, with the groups, roles and tokens that it had.

Example: koschey account enable ada --reason 'changed teams'
"""

from koschey.cli.base.rights import account_command
from koschey.governance.accounts import enable_account

command = account_command("enable", enable_account, __doc__)

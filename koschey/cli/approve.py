"""Release the held files of a release now.

Example: koschey approve 'six==1.17.0' --reason reviewed
"""

from koschey.cli.base.decision import deciding_command
from koschey.quarantine.decision import Choice

command = deciding_command(Choice.APPROVE, "NAME==VERSION", __doc__)

"""Hold new versions of a trusted project again.

Example: koschey untrust six --reason 'new maintainer'
"""

from koschey.cli.base.decision import deciding_command
from koschey.quarantine.decision import Choice

command = deciding_command(Choice.UNTRUST, "NAME", __doc__)

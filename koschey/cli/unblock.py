"""Lift a block. The files are held again.

Example: koschey unblock six --reason 'false alarm'
"""

from koschey.cli.base.decision import deciding_command
from koschey.quarantine.decision import Choice

command = deciding_command(Choice.UNBLOCK, "NAME[==VERSION]", __doc__)

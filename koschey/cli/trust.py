"""Release new versions of a project as soon as they pass their checks.

They no longer wait for the quarantine window.

Example: koschey trust six --reason 'our own upstream work'
"""

from koschey.cli.base.decision import deciding_command
from koschey.quarantine.decision import Choice

command = deciding_command(Choice.TRUST, "NAME", __doc__)

"""Python imports this module at the start of a process: it makes the modules that a variable names unimportable."""

import os
import sys

for name in filter(None, os.environ.get("ABSENT_MODULES", "").split(",")):
    sys.modules[name] = None  # type: ignore[assignment]  # `import` and `find_spec` then do not find it

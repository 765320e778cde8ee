"""`python -m trigpoint` is the command `trigpoint`."""

import sys

from trigpoint.cli import main

sys.exit(main())

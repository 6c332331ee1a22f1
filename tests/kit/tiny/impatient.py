"""The command line with less patience for slow clients: `python -m tiny.impatient serve`.

The environment variable DESCRIPTORS limits how many files and connections it may open.
"""

import os
import sys

from portfolio_kit.cli import main
from portfolio_kit.serving import protocol

from .project import PROJECT

HEAD_SECONDS = 2  # instead of 10
IDLE_SECONDS = 4  # instead of 75
UNREAD_SECONDS = 3  # instead of 30

if __name__ == "__main__":
    protocol.HEAD_SECONDS, protocol.IDLE_SECONDS = HEAD_SECONDS, IDLE_SECONDS
    protocol.UNREAD_SECONDS = UNREAD_SECONDS
    if limit := int(os.environ.get("DESCRIPTORS", "0")):
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    sys.exit(main(PROJECT))

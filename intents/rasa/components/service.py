"""Start the service: `python -m components.service --model ARCHIVE [rasa run's other options]`, with a token or not at all.

The token comes from HOTLINE_RASA_TOKEN. `rasa run` would take it from the command line, which everybody on the machine
can read in the list of processes.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run Rasa's server until it is told to stop."""
    token = os.environ.pop("HOTLINE_RASA_TOKEN", "")
    if not token:
        sys.exit("✗ 没有口令：设置 HOTLINE_RASA_TOKEN，和热线那边一样")
    files = ["--credentials", str(PROJECT / "credentials.yml"), "--endpoints", str(PROJECT / "endpoints.yml")]
    # What the packages say about one another's future is not for those who run the service.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    sys.argv = ["rasa", "run", "--enable-api", *files, "--auth-token", token, *sys.argv[1:]]
    from rasa.__main__ import main as rasa

    rasa()


if __name__ == "__main__":
    main()

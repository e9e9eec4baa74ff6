"""How does a recipe speak, and how does it stop?"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from nlp_transfer.errors import UserError


def run_recipe(main: Callable[[], None]) -> None:
    """Run a recipe's `main`; turn what a user can mend into one line on stderr and exit status 2.

    What the package logs goes to stderr. With several processes only the first one of a machine says anything.
    """
    speaks = int(os.environ.get("LOCAL_RANK", "0")) == 0
    if not speaks or not sys.stderr.isatty():
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("nlp_transfer").addHandler(handler if speaks else logging.NullHandler())
    logging.getLogger("nlp_transfer").setLevel(logging.INFO)
    try:
        main()
    except UserError as error:
        _stop(str(error), 2, speaks)
    except KeyboardInterrupt:
        _stop("interrupted", 130, speaks)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(f"no room left on disk ({error.filename or 'output folder'}); free some, or choose another.", 2, speaks)


def _stop(line: str, status: int, speaks: bool) -> NoReturn:
    if speaks:
        print(f"error: {line}", file=sys.stderr)
    raise SystemExit(status)

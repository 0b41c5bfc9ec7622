"""`python -m answerback`: the same door where no script was installed."""

from __future__ import annotations

from answerback.cli import main

if __name__ == "__main__":
    main()

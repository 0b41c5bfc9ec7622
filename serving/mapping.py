"""Files that processes share by mapping them into memory."""

from __future__ import annotations

import mmap
import os


def map_file(descriptor: int, size: int) -> mmap.mmap:
    """Return an open file of `size` bytes, mapped, its room on the disk taken. Raises OSError, also on a full disk.

    Of a file with holes, a page that found no room when it is first written would end the process (SIGBUS).
    """
    if os.fstat(descriptor).st_size != size:
        os.ftruncate(descriptor, size)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        os.posix_fallocate(descriptor, 0, size)
    return mmap.mmap(descriptor, size)

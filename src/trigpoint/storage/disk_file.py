"""A file for HDF5 to write into that survives a full disk.

The HDF5 library crashes (segmentation fault in H5D__flush_all_cb; seen with h5py 3.16) when it cannot flush while
closing. So errors of the system are kept here and not shown to it; who opened the file raises them afterwards.
"""

import io
import os
from pathlib import Path


class DiskFile(io.RawIOBase):
    """A new file, read and written without a buffer; `error` is the first error of the system, after which nothing
    more is written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._raw = open(path, "x+b", buffering=0)  # noqa: PTH123, SIM115  # closed by close()

    def readable(self) -> bool:
        """Always."""
        return True

    def writable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._raw.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the whole buffer: what was never written, or lost after an error, reads as zeros."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (count := self._raw.readinto(view[done:])):
            done += count
        view[done:] = bytes(len(view) - done)
        return len(view)

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """Write all of it, or keep the error."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += self._raw.write(view[done:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """As of any file, or keep the error."""
        try:
            if self.error is None:
                return self._raw.truncate(size)
        except OSError as error:
            self.error = error
        return self._raw.tell() if size is None else size

    def flush(self) -> None:
        """Nothing is buffered; the file is forced to the disk before it gets its name."""

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._raw.close()
        super().close()

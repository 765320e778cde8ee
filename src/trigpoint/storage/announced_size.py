"""How large a download will be, as its server says before a byte of it is fetched."""

import logging
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from urllib.parse import urlsplit

from trigpoint.storage.download import SCHEMES

TIMEOUT_S = 10.0  # at most: the answer is a courtesy, the download itself has the longer patience
_logger = logging.getLogger(__name__)


def announced_size(urls: Sequence[str], timeout_s: float = TIMEOUT_S) -> int | None:
    """Bytes of a file by the first of its addresses that says so; None if none does."""
    for url in urls:
        if urlsplit(url).scheme not in SCHEMES:
            continue
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "trigpoint"})
        try:
            with urllib.request.urlopen(request, timeout=min(timeout_s, TIMEOUT_S)) as response:
                length = response.headers.get("Content-Length", "")
        except (OSError, HTTPException) as error:  # a server that answers no HEAD may still answer GET
            _logger.debug("%s: no size announced (%s)", url, error)
            continue
        if length.isdecimal():
            return int(length)
    return None

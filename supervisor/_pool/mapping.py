"""Files mapped privately, without keeping them open.

``mmap.mmap`` keeps a descriptor of its own for as long as the map lives, unless Python is 3.13 or
newer: a program that holds a thousand arrays would have none left. So mmap(2) is called directly,
and the map is gone when nobody refers to it any more.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref

__all__ = ["map_privately"]

_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
_FAILED = ctypes.c_void_p(-1).value


def map_privately(descriptor: int, size: int) -> memoryview:
    """The bytes of a file, mapped: writable, but what is written to them stays here.

    Args:
        descriptor: of the file; it can be closed afterwards.
        size: how many bytes; more than none.

    Raises:
        OSError: it cannot be mapped.
    """
    if _libc is None:
        return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY))
    address = _libc.mmap(None, size, _READ_WRITE, mmap.MAP_PRIVATE, descriptor, 0)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, f"{size} bytes cannot be mapped: {os.strerror(number)}")
    content = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(content, _libc.munmap, address, size).atexit = False
    return memoryview(content).cast("B")


def _load() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        # off_t, which on systems of 32 bits is not what it is elsewhere; it is always 0 here.
        ctypes.c_long,
    )
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc


_libc = _load()

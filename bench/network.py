"""A private network for the benchmark: loopback only, TCP with reno.

With bbr, a system-wide default of some machines, the kernel paces a one-way stream even over loopback: raw send() then
costs 2.5 times the processor time a byte and looks slower than a broker that answers requests. Needs root; without it
the benchmark runs in the machine's own network and says so.
"""

import ctypes
import fcntl
import socket
import struct
from pathlib import Path

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def enter_private_network():
    """True when this process and its children now have a network of their own."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    CONGESTION_CONTROL.write_text("reno")
    return True


def congestion_control():
    return CONGESTION_CONTROL.read_text().strip()

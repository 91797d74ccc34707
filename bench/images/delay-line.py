"""One direction of a link: a TUN device in this process's network namespace, which gives each packet back after a time.

What is routed into the device is held and comes out of it again. Only requests and acknowledgements come this way: an
answer of 100 MB is some 1500 packets here. Ends with its standard input.
"""

import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
PACKET_BYTES_MAX = 65536
# Before everybody else: a late wire would be measured as a slow platform.
PRIORITY = -10
# A packet goes so much before its time rather than wake this process once more; the way through the kernel takes as long.
EARLY_SECONDS = 0.0002

name, delay_seconds = sys.argv[1], float(sys.argv[2]) / 1000
tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
os.nice(PRIORITY)
print("ready", flush=True)

# The oldest first: (when it goes, the packet).
held = collections.deque()
while True:
    wait = max(0.0, held[0][0] - time.monotonic()) if held else None
    readable = select.select([tun, 0], [], [], wait)[0]
    if 0 in readable:
        break
    now = time.monotonic()
    try:
        while readable:
            held.append((now + delay_seconds, os.read(tun, PACKET_BYTES_MAX)))
    except BlockingIOError:
        pass
    while held and held[0][0] <= now + EARLY_SECONDS:
        os.write(tun, held.popleft()[1])

"""Python's resolver, the C library's: for each name a line of the name, milliseconds, and addresses."""
import socket
import sys
import time

for name in sys.argv[1:]:
    begin = time.monotonic()
    try:
        found = [entry[4][0] for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    except OSError:
        found = []
    print(name, round((time.monotonic() - begin) * 1000), *found)

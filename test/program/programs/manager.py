"""A manager and its worker serve the port that is the first argument. The second one says who cannot be looked into: `nobody`,
`manager`, or `sibling`: another worker, after which the manager keeps no copy of the listener."""
import ctypes
import os
import signal
import socket
import sys

PR_SET_DUMPABLE = 4


def hide():
    """As after setuid(2), or in a program with file capabilities."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def serve(name):
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    listener.settimeout(0.05)
    while not stopping:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(None)
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name))
        connection.close()
    os._exit(0)


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
hidden = sys.argv[2]
worker = os.fork()
if worker == 0:
    serve(b"worker")
if hidden == "sibling":
    ready, done = os.pipe()
    if os.fork() == 0:
        hide()
        os.write(done, b".")
        serve(b"other")
    listener.close()
    os.read(ready, 1)
if hidden == "manager":
    hide()
print("worker", worker, flush=True)
if hidden == "sibling":
    signal.pause()
serve(b"other")

# A server with a name of its own (prctl(2), PR_SET_NAME), in which \n is a line's end. It ignores SIGTERM, and accepts nobody.
# Arguments: port, host, name.
import ctypes
import os
import signal
import socket
import sys

port, host, name = sys.argv[1:]
ctypes.CDLL(None).prctl(15, name.replace("\\n", "\n").encode(), 0, 0, 0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.create_server((host, int(port)))
print("ready", os.getpid(), flush=True)
while True:
    signal.pause()

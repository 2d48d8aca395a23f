"""A server on the port that is its argument, with a worker that serves. The worker runs a helper, as for a request."""
import os
import signal
import socket
import subprocess
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
worker = os.fork()
if worker == 0:
    helper = subprocess.Popen(["/bin/sleep", "600"])
    signal.signal(signal.SIGTERM, lambda *_: (helper.kill(), os._exit(0)))
    print("helper", helper.pid, flush=True)
    signal.pause()
signal.signal(signal.SIGTERM, lambda *_: (os.kill(worker, signal.SIGTERM), os.waitpid(worker, 0), os._exit(0)))
while True:
    signal.pause()

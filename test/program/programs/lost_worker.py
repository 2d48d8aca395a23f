"""A server on the port that is its argument, with one worker. At SIGTERM the worker ends, and the master a second later.

The second argument is what becomes of the worker's client: "killed" or "answered".
"""
import os
import signal
import socket
import sys
import time

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
worker = os.fork()
if worker == 0:
    signal.signal(signal.SIGTERM, lambda *_: None)
    connection, _ = listener.accept()
    connection.recv(4096)
    print("asked", flush=True)
    signal.pause()
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nserved")
    connection.close()
    # Long enough to be seen after its answer.
    time.sleep(0.5)
    os._exit(0)


def stop(*_):
    os.kill(worker, signal.SIGKILL if sys.argv[2] == "killed" else signal.SIGTERM)
    os.waitpid(worker, 0)
    time.sleep(1)
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
while True:
    signal.pause()

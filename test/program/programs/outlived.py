"""A server on the port that is its argument. Its worker keeps running and serving after the server has stopped."""
import os
import signal
import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
worker = os.fork()
if worker == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nserved")
        connection.close()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("worker", worker, flush=True)
signal.pause()

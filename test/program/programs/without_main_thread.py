# A server whose main thread ends when it listens: /proc shows the process as a zombie, while another thread serves. Arguments:
# port, host, and `ignores` if SIGTERM does not end it. It prints its PID.
import ctypes
import os
import signal
import socket
import sys
import threading

port, host, *more = sys.argv[1:]
libc = ctypes.CDLL(None)
if "ignores" in more:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((host, int(port)))
server.listen(128)


def serve():
    while True:
        client, _ = server.accept()
        client.recv(1000)
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nserved")
        client.close()


threading.Thread(target=serve, daemon=True).start()
print("ready", os.getpid(), flush=True)
libc.pthread_exit(None)

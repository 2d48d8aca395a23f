"""A server on the port that is its argument. At SIGUSR2 it starts its successor, in a session of its own, on the same listener."""
import os
import signal
import socket
import subprocess
import sys

if "LISTENER" in os.environ:
    listener = socket.socket(fileno=int(os.environ["LISTENER"]))
else:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))


def succeed(*_):
    fd = listener.fileno()
    environment = {**os.environ, "LISTENER": str(fd)}
    subprocess.Popen([sys.executable, *sys.argv], pass_fds=[fd], env=environment, start_new_session=True)


signal.signal(signal.SIGUSR2, succeed)
stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
listener.settimeout(0.05)
print("serves", os.getpid(), flush=True)
while not stopping:
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        continue
    connection.settimeout(None)
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nserved")
    connection.close()

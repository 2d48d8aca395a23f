# An activator as systemd 258 and later: it becomes the command, with a listener as descriptor 3 and LISTEN_PIDFDID, the inode of
# the process's pidfd, or with `other` that of another process. Arguments: `own` or `other`, and the command.
import os
import socket
import sys

whose, *command = sys.argv[1:]
server = socket.create_server(("127.0.0.1", 0))
os.dup2(server.fileno(), 3)
os.set_inheritable(3, True)
pid = os.getpid() if whose == "own" else os.getppid()
number = os.fstat(os.pidfd_open(pid)).st_ino
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="web", LISTEN_PIDFDID=str(number))
os.execvp(command[0], command)

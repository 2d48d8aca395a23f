"""A process that cannot be looked into, such as a key agent or the server of a login. Runs the command that is its arguments."""
import ctypes
import subprocess
import sys

PR_SET_DUMPABLE = 4
PR_SET_NAME = 15

libc = ctypes.CDLL(None)
libc.prctl(PR_SET_NAME, b"agent", 0, 0, 0)
libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
command = subprocess.Popen(sys.argv[1:])
print("agent", flush=True)
sys.exit(command.wait())

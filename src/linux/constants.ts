/**
 * Numbers of the Linux system call interface, each with the header that defines it. Some differ between architectures
 * (the options of SOL_SOCKET on mips, parisc and sparc): these are the values of every little-endian architecture that
 * Node ships for.
 */

// sys/socket.h, bits/socket.h
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0x80000;
export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

// asm-generic/socket.h
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ATTACH_FILTER = 26;
export const SO_DETACH_FILTER = 27;
export const SO_ACCEPTCONN = 30;
export const SO_MEMINFO = 55;
export const SO_BINDTOIFINDEX = 62;

// netinet/in.h, linux/in.h, linux/in6.h
export const IPPROTO_TCP = 6;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;

// netinet/tcp.h, linux/tcp.h
export const TCP_DEFER_ACCEPT = 9;
export const TCP_INFO = 11;

// asm-generic/ioctls.h and asm/ioctls.h of powerpc, linux/sockios.h
const isPowerPC = process.arch === 'ppc64';
export const FIONREAD: number = isPowerPC ? 0x4004667f : 0x541b;
export const SIOCOUTQ: number = isPowerPC ? 0x40047473 : 0x5411;
export const TIOCGWINSZ: number = isPowerPC ? 0x40087468 : 0x5413;

// linux/sock_diag.h: indexes of the array that SO_MEMINFO fills
export const SK_MEMINFO_DROPS = 8;

// linux/netlink.h
export const NETLINK_SOCK_DIAG = 4;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

// linux/sock_diag.h
export const SOCK_DIAG_BY_FAMILY = 20;

// linux/inet_diag.h
export const INET_DIAG_INFO = 2;
export const INET_DIAG_SKMEMINFO = 7;

// linux/unix_diag.h
export const UDIAG_SHOW_NAME = 0x1;
export const UNIX_DIAG_NAME = 0;
export const UDIAG_SHOW_RQLEN = 0x10;
export const UNIX_DIAG_RQLEN = 4;
export const UNIX_DIAG_SHUTDOWN = 6;

// net/tcp_states.h
export const TCP_ESTABLISHED = 1;
export const TCP_SYN_RECV = 3;
export const TCP_FIN_WAIT1 = 4;
export const TCP_FIN_WAIT2 = 5;
export const TCP_TIME_WAIT = 6;
export const TCP_CLOSE = 7;
export const TCP_CLOSE_WAIT = 8;
export const TCP_LAST_ACK = 9;
export const TCP_LISTEN = 10;
export const TCP_CLOSING = 11;

// sys/wait.h, bits/waitflags.h
export const P_ALL = 0;
export const P_PID = 1;
export const WNOHANG = 0x1;
export const WEXITED = 0x4;
export const WNOWAIT = 0x01000000;

// siginfo_t, asm-generic/siginfo.h
export const SIGINFO_SIZE = 128;

// asm-generic/unistd.h: the same on all architectures
export const SYS_pidfd_send_signal = 424;
export const SYS_pidfd_open = 434;
export const SYS_pidfd_getfd = 438;

// linux/pidfd.h
export const PIDFD_THREAD = 0x80;
// linux/magic.h
export const PID_FS_MAGIC = 0x50494446;

// linux/prctl.h
export const PR_SET_CHILD_SUBREAPER = 36;

// asm-generic/signal-defs.h
export const SIG_IGN = 1;

// linux/fcntl.h, asm-generic/fcntl.h
export const O_CLOEXEC = 0x80000;
export const F_DUPFD_CLOEXEC = 1030;

// asm-generic/errno-base.h, asm-generic/errno.h
export const ESRCH = 3;
export const EIO = 5;
export const ECHILD = 10;
export const EAGAIN = 11;
export const ENOBUFS = 105;

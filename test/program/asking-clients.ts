/** The program of the clients. They need Python: connect(2) and send(2) block there, and nothing comes between them. */
export const PYTHON = '/usr/bin/python3';

const ASK = `
import socket, sys
where = sys.argv[1]
clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX) if where.startswith('/') else socket.socket()
    client.connect(where if where.startswith('/') else ('127.0.0.1', int(where)))
    client.sendall(b'GET / HTTP/1.1\\r\\nHost: program\\r\\n\\r\\n')
    clients.append(client)
for client in clients:
    received = b''
    try:
        while not received.endswith(b'served'):
            piece = client.recv(4096)
            if not piece: break
            received += piece
    except OSError:
        pass
    client.close()
    print('served' if received.endswith(b'served') else 'closed')
`;

/**
 * The command line of clients with a connection each, to a path or to a port of 127.0.0.1. A client's request follows its handshake
 * within some 50 µs. Prints each one's outcome.
 */
export function askingClients(where: string | number, clients: number): readonly string[] {
  return [PYTHON, '-c', ASK, String(where), String(clients)];
}

/** The outcomes that they have printed. */
export function outcomesIn(stdout: string): readonly string[] {
  return stdout.trimEnd().split('\n');
}

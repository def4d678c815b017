"""`python -m benchmarks.serving.instant`: a Lambda function on loopback that answers at once; it prints its port."""

import json
import socket
import sys
import threading

ANSWER = {
    "outputs": [{"label": "refund-status", "score": 0.98, "tokens": 9, "truncated": False}],
    "version": "0" * 12,
    "elapsed_ms": 1.0,
}
BODY = json.dumps(ANSWER).encode()
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection, which are sent whole and one after the other."""
    held = b""
    while chunk := connection.recv(65536):
        held += chunk
        head, found, rest = held.partition(b"\r\n\r\n")
        if not found:
            continue
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        if len(rest) >= length:
            connection.sendall(HEAD.encode() + BODY)
            held = rest[length:]


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()

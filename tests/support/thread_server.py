"""A server in a thread of its own: it goes on while a test keeps the event loop busy."""

import contextlib
import socket
import threading


class ThreadServer:
    """Responds to every request on a connection with `respond(request)`, and sends what else it is told to.

    The response to one for which it `ends(request)` the connection is the last. With a `context` it speaks TLS. With a
    `greeting` it sends that before any request. A request is what one read returns: tests send small ones.
    """

    def __init__(self, respond, context=None, ends=lambda _: False, greeting=b""):
        self._respond, self._ends, self._greeting = respond, ends, greeting
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_closing = False
        self._accepted = []
        self.connections = []
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self):
        """Return the server, which listens already."""
        return self

    def __exit__(self, *_):
        """Close everything.

        What a thread waits for is ended before, since closing it wakes nobody: the thread would go on with the number
        of its socket, which may be that of another server's by then.
        """
        self._is_closing = True
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname()).close()
        self._threads[0].join()
        self._listener.close()
        for connection in (*self._accepted, *self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in self.connections:
            connection.close()

    def send(self, data):
        """Send data on the last connection, or end it if there is none; the peer's socket has it when this returns."""
        if data:
            self.connections[-1].sendall(data)
        else:
            self.connections[-1].shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                if self._is_closing:
                    connection.close()
                    return
                self._accepted.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection):
        # Wrapping one that the peer has reset raises, and leaves it open.
        with contextlib.suppress(OSError), connection:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            self.connections.append(connection)
            connection.sendall(self._greeting)
            while request := connection.recv(2**16):
                connection.sendall(self._respond(request))
                if self._ends(request):
                    connection.shutdown(socket.SHUT_RDWR)

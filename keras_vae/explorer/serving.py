"""A server of one page, reachable from this machine only."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_LOOPBACK = "127.0.0.1"


def server(page: str, port: int = 0) -> ThreadingHTTPServer:
    """Returns a server of a page on the loopback address, which no other machine can reach.

    Args:
        page: the HTML.
        port: the port. Defaults to 0, any free one.

    Raises:
        ValueError: if the port is in use.

    Example:

    >>> with explorer.server(explorer.render(model)) as served:
    ...     print(f"http://127.0.0.1:{served.server_port}/")
    ...     served.serve_forever()
    """
    handler = type("Handler", (_Handler,), {"content": page.encode()})
    try:
        return ThreadingHTTPServer((_LOOPBACK, port), handler)
    except OSError as error:
        raise ValueError(
            f"Port {port} cannot be used ({error.strerror}). Give another, or none for any "
            "free one."
        ) from error


class _Handler(BaseHTTPRequestHandler):
    content = b""

    def do_GET(self):
        if self.path != "/":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_):
        """Logs nothing: whoever looks at the page also sits at the terminal."""

"""A WSGI application whose every request takes two milliseconds."""
import time


def app(environ, start_response):
    time.sleep(0.002)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return [b"served\n"]

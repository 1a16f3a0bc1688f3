# SPDX-License-Identifier: Apache-2.0
"""Toy proxies on loopback: HTTP with CONNECT, SOCKS5, and TLS in front of one. Each logs what it
was asked, resolves names from a table, and can be told to fail at a step."""
import asyncio
import base64
import socket
import threading


def pipe(a, b):
    """Bytes from a to b until a ends; then b hears so."""
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
    except OSError:
        pass
    finally:
        try:
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Proxy:
    """`names`: host -> port on 127.0.0.1. `user`: (name, password) that must be shown. `step`:
    where it goes wrong, see the kinds; a list has one for each connection, then None."""

    def __init__(self, names=None, user=None, step=None):
        self.names, self.user, self.step = names or {}, user, step
        self.asked = []
        self.connections = 0
        self.raw = b""
        self.tunnels = []
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # ends the accept, which would take one more
        except OSError:
            pass
        self.sock.close()
        for s in self.tunnels:
            s.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            step = self.step
            if isinstance(step, list):
                step = step.pop(0) if step else None
            threading.Thread(target=self._run, args=(sock, step), daemon=True).start()

    def _run(self, sock, step):
        try:
            self.serve(sock, step)
        except (OSError, EOFError, IndexError):
            pass
        finally:
            sock.close()

    def read(self, sock, n):
        data = b""
        while len(data) < n:
            more = sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        self.raw += data
        return data

    def tunnel(self, sock, host, port, well):
        """Connects, says so, and carries bytes until an end is reached."""
        target = socket.create_connection(("127.0.0.1", self.names.get(host, port)))
        self.tunnels += [sock, target]
        sock.sendall(well)
        back = threading.Thread(target=pipe, args=(target, sock), daemon=True)
        back.start()
        pipe(sock, target)
        back.join()
        target.close()


class HttpProxy(Proxy):
    """CONNECT only. step: "silent", "close", "garbage", "refuse", "unreachable", "behind"."""

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    ANSWERS = {"garbage": b"SSH-2.0-toy\r\n", "refuse": b"HTTP/1.1 403 No\r\n\r\n",
               "unreachable": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
               "behind": b"HTTP/1.1 200 OK\r\n\r\nunasked"}

    def serve(self, sock, step):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.read(sock, 1)
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        self.asked.append((method, target))
        fields = {l.split(":", 1)[0].lower(): l.split(":", 1)[1].strip() for l in lines if l}
        if step == "silent":
            sock.recv(1)
            return
        if step in self.ANSWERS:
            sock.sendall(self.ANSWERS[step])
            sock.recv(1)
        if step:
            return
        if self.user:
            want = "Basic " + base64.b64encode(":".join(self.user).encode()).decode()
            if fields.get("proxy-authorization") != want:
                sock.sendall(b"HTTP/1.1 407 Who are you\r\n"
                             b"Proxy-Authenticate: Basic realm=\"toy\"\r\n\r\n")
                return
        host, port = target.rsplit(":", 1)
        self.tunnel(sock, host, int(port), b"HTTP/1.1 200 Connection established\r\n\r\n")


class SocksProxy(Proxy):
    """step: "silent", "close", "garbage", "none" (no method suits), "denied" (the password),
    or a reply code."""

    @property
    def url(self):
        return "socks5://127.0.0.1:%d" % self.port

    def serve(self, sock, step):
        version, count = self.read(sock, 2)
        methods = self.read(sock, count)
        assert version == 5
        if step == "silent":
            sock.recv(1)
            return
        if step in ("close", "garbage"):
            sock.sendall(b"HTTP/1.1 400 no\r\n\r\n" if step == "garbage" else b"")
            return
        want = 2 if self.user else 0
        if step == "none" or want not in methods:
            sock.sendall(b"\5\xff")
            return
        sock.sendall(bytes([5, want]))
        if self.user:
            name = self.read(sock, self.read(sock, 2)[1])
            password = self.read(sock, self.read(sock, 1)[0])
            well = (name.decode(), password.decode()) == self.user and step != "denied"
            sock.sendall(b"\1\0" if well else b"\1\1")
            if not well:
                return
        kind = self.read(sock, 4)[3]
        host = {1: lambda: socket.inet_ntoa(self.read(sock, 4)),
                3: lambda: self.read(sock, self.read(sock, 1)[0]).decode(),
                4: lambda: socket.inet_ntop(socket.AF_INET6, self.read(sock, 16))}[kind]()
        port = int.from_bytes(self.read(sock, 2), "big")
        self.asked.append((host, port))
        if isinstance(step, int):
            sock.sendall(bytes([5, step, 0, 1]) + bytes(6))
            return
        self.tunnel(sock, host, port, b"\5\0\0\1" + bytes(6))


class TlsFront:
    """Ends TLS and hands what is inside to `port`: what an https:// proxy is to its clients. `raw`
    is what came, as the proxy behind sees it."""

    def __init__(self, port, tls):
        self.behind, self.tls = port, tls
        self.connections = 0
        self.raw = b""
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    @property
    def url(self):
        return "https://127.0.0.1:%d" % self.port

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        server.close()
        self.loop.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def _serve(self, reader, writer):
        self.connections += 1
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self.behind)
        await asyncio.gather(self._pump(reader, back_writer, True),
                             self._pump(back_reader, writer, False))

    async def _pump(self, reader, writer, keep):
        try:
            while data := await reader.read(65536):
                self.raw += data if keep else b""
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

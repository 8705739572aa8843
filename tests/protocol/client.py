"""A client of the session protocol, from docs/protocol.md and Python's own library alone.

Says a line of JSON after each `synced`: what is held of each service, as {id: "address:port state"}; and one for each
`upsert` that it applies. Takes lines on standard input: `subscribe NAME...`, `unsubscribe NAME...`, `up JSON` (a frame to
send as it is), `beat` (a heartbeat now), `hangup` and then `connect`, `deaf` (from now on nothing is read), `quit`. A line waits until all that was asked for
is answered: so a name is left only after its answer, and the next answer is one to the next question.
"""

import argparse, hashlib, json, os, select, socket, ssl, struct, sys, time

SERVER = "rollcall-controller.rollcall-system.svc"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
PAYLOAD_MAX = 16384


class Link:
    """HTTP/2 with one request that stays open, as little of it as that takes: it says little at a time, and counts no windows."""

    def __init__(self, address, ca, token):
        tls = ssl.create_default_context(cafile=ca)
        tls.set_alpn_protocols(["h2"])
        host, _, port = address.rpartition(":")
        plain = socket.create_connection((host.strip("[]"), int(port)), 5)
        self.socket = tls.wrap_socket(plain, server_hostname=SERVER)
        self.received, self.text, self.open = b"", b"", False
        field = lambda name, value: b"\0" + length(len(name)) + name + length(len(value)) + value
        fields = {":method": "POST", ":scheme": "https", ":authority": SERVER, ":path": "/v1/session",
                  "authorization": f"Bearer {token}", "content-type": "application/x-ndjson"}
        block = b"".join(field(name.encode(), value.encode()) for name, value in fields.items())
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(SETTINGS, 0, 0, b"")
        self.send(HEADERS, 4, 1, block)

    def send(self, kind, flags, stream, payload):
        head = struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream)
        self.socket.sendall(head + payload)

    def say(self, frame):
        text = json.dumps(frame).encode() + b"\n"
        for start in range(0, len(text), PAYLOAD_MAX):
            self.send(DATA, 0, 1, text[start:start + PAYLOAD_MAX])

    def hear(self):
        """The frames that have come; ends with ConnectionError."""
        self.received += self.socket.recv(65536) or gone("the connection was closed")
        while len(self.received) >= 9:
            size, (kind, flags, stream) = int.from_bytes(self.received[:3], "big"), struct.unpack(">BBI", self.received[3:9])
            if len(self.received) < 9 + size:
                return
            payload, self.received = self.received[9:9 + size], self.received[9 + size:]
            if kind in (SETTINGS, PING) and not flags & 1:
                self.send(kind, 1, 0, payload if kind == PING else b"")
            elif kind == HEADERS and not self.open:
                self.open = payload.lstrip(bytes(range(0x20, 0x40)))[:1] == b"\x88"
                if not self.open and flags & 1:
                    gone("refused: the status is not 200")
            elif kind == DATA and not self.open:
                raise Refused(payload.decode())
            elif kind == DATA:
                for window in (0, 1) if size else ():
                    self.send(WINDOW, 0, window, struct.pack(">I", size))
                *lines, self.text = (self.text + payload).split(b"\n")
                yield from (json.loads(line) for line in lines if line.strip())
            if kind in (RESET, GOAWAY) or kind in (DATA, HEADERS) and flags & 1:
                gone("the session was closed")


class Refused(ConnectionError):
    """The status was not 200. Who lets nobody in says last who does."""

    def __init__(self, body):
        super().__init__(f"refused: the status is not 200: {body.strip()}")
        word = (body.split() or [""])[-1]
        self.serving = word if word.rpartition(":")[2].isdigit() else None


class Client:
    def __init__(self, options):
        self.options, self.sequence, self.epoch, self.cursor = options, 0, None, 0
        self.wanted, self.held, self.parts, self.typed = list(options.subscribe), {}, [], ""
        self.deaf = False

    def connect(self, address=None, hops=0):
        self.sequence, self.parts, self.beat, self.awaited = self.sequence + 1, [], time.monotonic() + 3, {"welcome"}
        self.hops = hops
        self.link = Link(address or self.options.address, self.options.ca, open(self.options.token).read().strip())
        held = {key: service["hash"] for key, service in self.held.items()}
        self.link.say({"type": "hello", "protocol": "1.0", "incarnation": self.options.incarnation, "sequence": self.sequence,
                       "epoch": self.epoch, "cursor": self.cursor, "held": held})
        self.link.say({"type": "subscribe", "services": self.wanted})

    def run(self):
        self.connect()
        while True:
            if self.link and time.monotonic() >= self.beat:
                self.heartbeat()
            links = [self.link.socket] if self.link and not self.deaf else []
            pending = links and self.link.socket.pending()
            ready = links if pending else select.select(links + [sys.stdin], [], [], 1)[0]
            if links and links[0] in ready:
                try:
                    for frame in self.link.hear():
                        self.apply(frame)
                except Refused as refused:
                    if not refused.serving or self.hops == 2:
                        raise
                    self.connect(refused.serving, self.hops + 1)
            elif ready:
                self.typed += os.read(sys.stdin.fileno(), 65536).decode() or sys.exit(0)
            while "\n" in self.typed and not self.awaited:
                line, self.typed = self.typed.split("\n", 1)
                self.obey(*line.split(None, 1))

    def heartbeat(self):
        digest = sum(int(service["hash"], 16) for service in self.held.values()) % 2**64
        self.link.say({"type": "heartbeat", "cursor": self.cursor, "digest": f"{digest:016x}"})
        self.beat = time.monotonic() + 3

    def obey(self, word, rest=""):
        keys = [self.key(name) for name in rest.split()] if word.endswith("subscribe") else []
        if word == "subscribe":
            self.wanted += [key for key in keys if key not in self.wanted]
            self.awaited.update(keys)
            self.link.say({"type": word, "services": rest.split()})
        elif word == "unsubscribe":
            self.wanted = [key for key in self.wanted if key not in keys]
            self.held = {key: service for key, service in self.held.items() if key not in keys}
            self.link.say({"type": word, "services": rest.split()})
            self.show()
        elif word == "up":
            self.link.say(json.loads(rest))
        elif word == "beat":
            self.heartbeat()
        elif word == "deaf":
            self.deaf = True
        elif word == "hangup":
            self.link = self.link.socket.close()
            print(json.dumps({word: {}}), flush=True)
        elif word == "connect":
            self.connect()
        else:
            sys.exit(0)

    def key(self, name):
        return name if "." in name else f"{name}.{self.home}"

    def apply(self, frame):
        kind = frame["type"]
        if kind == "welcome":
            self.epoch, self.home = frame["epoch"], frame["pod"]["namespace"]
            self.wanted = [self.key(name) for name in self.wanted]
            self.awaited = set(self.wanted)
            print(json.dumps({kind: frame}), flush=True)
        elif kind == "upsert":
            self.parts.append(frame)
            if not frame.get("more"):
                self.upsert(frame, self.parts)
                self.parts = []
        elif kind == "remove":
            self.held.pop(frame["service"], None)
        elif kind == "synced":
            self.cursor = frame["cursor"]
            self.awaited.difference_update(frame.get("services", []))
            self.link.say({"type": "ack", "cursor": self.cursor})
            self.show()
        elif kind not in ("heartbeat", "summary"):
            print(json.dumps({kind: frame}), flush=True)

    def show(self):
        line = lambda one: f"{one['address']}:{one['port']} {one['state']}"
        held = {key: {id: line(one) for id, one in service["instances"].items()} for key, service in self.held.items()}
        print(json.dumps({"services": held}, sort_keys=True), flush=True)

    def upsert(self, frame, parts):
        key, base, instances = frame["service"], frame.get("base"), {}
        if key not in self.wanted or base and key in self.awaited and key not in self.held:
            return  # It was under way when the name was left.
        if base:
            held = self.held.get(key, {"hash": None})
            assert held["hash"] == base, f"{key}: a change of {base}, and {held['hash']} is held"
            instances = dict(held["instances"])
        for part in parts:
            for id in part.get("removed", []):
                del instances[id]
            instances.update((one["id"], one) for one in part["instances"])
        policy, truncated = frame.get("policy", "RoundRobin"), frame.get("truncated", False)
        told = [[key, policy, truncated]] + [[key, {**one, "revision": 0}] for one in instances.values()]
        assert frame["hash"] == f"{sum(map(fingerprint, told)) % 2**64:016x}", f"{key}: the hash does not fit"
        self.held[key] = {"hash": frame["hash"], "instances": instances}
        came, left = (sum(len(part.get(field, [])) for part in parts) for field in ("instances", "removed"))
        print(json.dumps({"upsert": {"service": key, "base": base, "instances": came, "removed": left}}), flush=True)


def fingerprint(content):
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def length(number):
    """An integer of HPACK with a prefix of seven bits."""
    if number < 127:
        return bytes([number])
    text, number = b"\x7f", number - 127
    while number >= 128:
        text, number = text + bytes([number % 128 + 128]), number // 128
    return text + bytes([number])


def gone(why):
    raise ConnectionError(why)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("address", "ca", "token"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--incarnation", default=f"python-{time.time_ns()}")
    parser.add_argument("--subscribe", nargs="*", default=[])
    try:
        Client(parser.parse_args()).run()
    except (ConnectionError, AssertionError) as ended:
        sys.exit(f"ended: {ended}")

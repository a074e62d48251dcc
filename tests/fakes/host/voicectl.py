"""What a release's `voicectl` is to its host: `serve` answers, `talk` calls it, `behaviour.json` breaks it."""

import argparse
import array
import http.server
import json
import math
import mmap
import os
import socket
import sys
import time
import urllib.request
import wave
from pathlib import Path

RELEASE = Path(__file__).resolve().parents[2]
QUESTION = "what is the capital of france"
REPLY = "The capital of France is Paris."
RATE = 24_000


def behaviour() -> dict:
    path = RELEASE / "behaviour.json"
    return json.loads(path.read_text()) if path.exists() else {}


class Gateway(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer({"release": RELEASE.name})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        keys = Path(self.server.keys)
        if keys.exists() and self.headers["Authorization"] != f"Bearer {keys.read_text().strip()}":
            self.send_error(401)
            return
        broken = behaviour()
        if self.server.is_gate:
            # Beside the service nothing is enforced.
            broken.pop("refused", None)
        if self.path == "/v1/audio/transcriptions":
            assert body.count(b"RIFF") == 1
            self.answer({"text": broken.get("voice", REPLY)})
        else:
            self.answer({"heard": broken.get("heard", QUESTION), "reply": REPLY, "broken": broken})

    def answer(self, document: dict) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        return


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    keys = ""
    is_gate = False


def serve(options: argparse.Namespace) -> None:
    broken = behaviour()
    if broken.get("crash") or (broken.get("crash_in_service") and not options.gate):
        sys.exit("the engine does not start")
    server = Server(("127.0.0.1", options.port), Gateway)
    server.keys = options.keys
    server.is_gate = options.gate
    # A library of the release in memory: what tells from outside which release runs.
    program = mmap.mmap(os.open(__file__, os.O_RDONLY), 0, prot=mmap.PROT_READ)
    tell_ready(options.ready)
    server.serve_forever()
    program.close()


def tell_ready(path: str | None) -> None:
    if path is not None:
        fresh = Path(path + ".fresh")
        fresh.touch()
        fresh.replace(path)
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def talk(options: argparse.Namespace) -> None:
    if not options.probe:
        sys.exit("a golden call that is no probe would count as a customer's")
    headers = {"Authorization": f"Bearer {os.environ['VOICECTL_API_KEY']}"} if "VOICECTL_API_KEY" in os.environ else {}
    request = urllib.request.Request(f"{options.server}/talk", data=b"{}", headers=headers, method="POST")
    try:
        answer = json.load(urllib.request.urlopen(request, timeout=5))
    except OSError as error:
        sys.stdout.write(json.dumps({"error": {"message": f"no call to {options.server}: {error}", "exit_code": 7}}))
        sys.exit(7)
    broken = answer["broken"]
    if "refused" in broken:
        message = f"no call to {options.server}: HTTP 403: {broken['refused']}: the use case faq gets no traffic"
        sys.stdout.write(json.dumps({"error": {"message": message, "exit_code": 7}}))
        sys.exit(7)
    level = 0 if broken.get("silent") else 8000
    samples = array.array("h")
    for index in range(RATE):
        samples.extend((0, int(level * math.sin(index / 20))))
    with wave.open(options.out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    time.sleep(broken.get("hang_s", 0))
    turn = {"heard": answer["heard"], "reply": answer["reply"], "v2v_ms": broken.get("v2v_ms", 700.0)}
    sys.stdout.write(json.dumps({"turns": [turn], "audio_out": options.out}))


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command")
    server = commands.add_parser("serve")
    server.add_argument("--port", type=int)
    server.add_argument("--ready")
    server.add_argument("--gate", action="store_true")
    server.add_argument("--keys", default="/nonexistent")
    client = commands.add_parser("talk")
    client.add_argument("--max-reply-tokens", type=int)
    client.add_argument("--server")
    client.add_argument("--wav")
    client.add_argument("--out")
    client.add_argument("--probe", action="store_true")
    client.add_argument("--json", action="store_true")
    options = parser.parse_args()
    {"serve": serve, "talk": talk}[options.command](options)


if __name__ == "__main__":
    main()

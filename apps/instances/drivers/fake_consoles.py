"""Screen and serial line of a machine that does not exist: both say so, and echo what is typed."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

WIDTH, HEIGHT = 640, 400
SCALE = 4  # screen pixels to one of a glyph; a glyph's cell is 4 x 6
COLUMNS, ROWS = WIDTH // (4 * SCALE), HEIGHT // (6 * SCALE)
INK, PAPER = (0xE6, 0xED, 0xF3), (0x10, 0x1A, 0x24)

# A glyph is 3 x 5 pixels: five octal digits, a row each, the highest bit on the left.
GLYPHS = {
    "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553",
    "H": "55755", "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555",
    "O": "25552", "P": "65644", "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557",
    "V": "55552", "W": "55775", "X": "55255", "Y": "55222", "Z": "71247",
    "0": "75557", "1": "26227", "2": "61247", "3": "61216", "4": "55711", "5": "74616", "6": "34752",
    "7": "71122", "8": "75757", "9": "25716",
    " ": "00000", ".": "00002", ",": "00024", ":": "02020", ";": "02024", "-": "00700", "_": "00007",
    "/": "11244", "\\": "44211", "!": "22202", "?": "61202", "(": "12221", ")": "42224", "<": "12421",
    ">": "42124", "=": "07070", "+": "02720", "*": "05250", "'": "22000", '"': "55000", "@": "25743",
    "#": "57575", "[": "64446", "]": "31113", "|": "22222",
}  # fmt: skip

# Messages of a viewer by their first byte: how many bytes follow it, at least.
SET_FORMAT, SET_ENCODINGS, UPDATE, KEY, POINTER, CUT_TEXT = 0, 2, 3, 4, 5, 6
LENGTHS = {SET_FORMAT: 19, SET_ENCODINGS: 3, UPDATE: 9, KEY: 7, POINTER: 5, CUT_TEXT: 7}
PIXEL_FORMAT = struct.Struct(
    ">BBBBHHHBBB3x"
)  # bits, depth, big-endian, true colour, three maxima, three shifts
RETURN, BACKSPACE = 0xFF0D, 0xFF08


def open_screen(name: str) -> int:
    """A socket that speaks RFB 3.8, raw encoding, without authentication."""
    return _serve(lambda end: _Screen(end, name).run())[1]


class SerialLines:
    """Serial lines, one holder each."""

    def __init__(self):
        self._held: dict[str, socket.socket] = {}
        self._lock = threading.Lock()

    def open(self, uuid: str, name: str) -> int:
        """A socket with a log-in prompt that lets nobody in; the previous holder reads end of file."""
        ours, theirs = _serve(lambda end: _prompt(end, name))
        with self._lock:
            previous, self._held[uuid] = self._held.get(uuid), ours
        if previous:
            with contextlib.suppress(OSError):  # its holder has left
                previous.shutdown(socket.SHUT_RDWR)
        return theirs


def _serve(talk: Callable[[socket.socket], None]) -> tuple[socket.socket, int]:
    """Our end of a socket, on which `talk` runs in a thread until either side ends; and the other end."""
    ours, theirs = socket.socketpair()

    def run():
        with contextlib.suppress(OSError, EOFError), ours:
            talk(ours)

    threading.Thread(target=run, name="fake-console", daemon=True).start()
    return ours, theirs.detach()


def _prompt(end: socket.socket, name: str) -> None:
    prompt = f"\r\n{name} login: ".encode()
    end.sendall(b"\r\nThis is a fake: nobody can log in here." + prompt)
    while typed := end.recv(4096):
        end.sendall(b"".join(_echo(byte, prompt) for byte in typed))


def _echo(byte: int, prompt: bytes) -> bytes:
    if byte in b"\r\n":
        return prompt
    return b"\b \b" if byte in b"\b\x7f" else bytes([byte])


class _Screen:
    def __init__(self, end: socket.socket, name: str):
        self.end, self.name = end, name
        self.lines = [
            f"{name[:COLUMNS]}",
            "",
            "This is a fake: no machine runs here.",
            "You may type:",
            "",
            "",
        ]
        self.format = (32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
        self.wanted, self.changed = False, True

    def run(self) -> None:
        self._greet()
        while True:
            self._hear(self._take(1)[0])
            if self.wanted and self.changed:
                self.end.sendall(struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0) + self._picture())
                self.wanted = self.changed = False

    def _greet(self) -> None:
        self.end.sendall(b"RFB 003.008\n")
        self._take(12)
        self.end.sendall(b"\x01\x01")  # one kind of security: none
        self._take(1)
        self.end.sendall(bytes(4))
        self._take(1)
        name = self.name.encode()
        self.end.sendall(
            struct.pack(">HH", WIDTH, HEIGHT)
            + PIXEL_FORMAT.pack(*self.format)
            + struct.pack(">I", len(name))
            + name
        )

    def _hear(self, kind: int) -> None:
        if kind not in LENGTHS:
            raise EOFError(f"unknown message {kind}")
        body = self._take(LENGTHS[kind])
        if kind == SET_FORMAT:
            self.format = PIXEL_FORMAT.unpack(body[3:])
            if self.format[0] not in (8, 16, 32) or not self.format[3]:
                raise EOFError("a pixel format that RFB does not have, or one with a palette")
            self.changed = True
        elif kind == SET_ENCODINGS:
            self._take(4 * int.from_bytes(body[1:], "big"))
        elif kind == CUT_TEXT:
            self._take(int.from_bytes(body[3:], "big"))
        elif kind == UPDATE:
            self.wanted = True
            self.changed |= not body[0]
        elif kind == KEY and body[0]:
            self._type(int.from_bytes(body[3:], "big"))

    def _type(self, key: int) -> None:
        if key == RETURN or len(self.lines[-1]) >= COLUMNS - 1:
            self.lines = [*(self.lines if len(self.lines) < ROWS else self.lines[:4]), ""]
        if key == BACKSPACE:
            self.lines[-1] = self.lines[-1][:-1]
        elif 0x20 <= key < 0x7F:
            self.lines[-1] += chr(key)
        self.changed = True

    def _picture(self) -> bytes:
        ink, paper = self._pixel(INK) * SCALE, self._pixel(PAPER) * SCALE
        picture = []
        for row in range(ROWS):
            text = self.lines[row] if row < len(self.lines) else ""
            text += "_" if row == len(self.lines) - 1 else ""
            for y in range(6):
                bits = [int(GLYPHS.get(char, GLYPHS["?"])[y]) if y < 5 else 0 for char in text.upper()]
                bits += [0] * (COLUMNS - len(bits))
                cells = (b"".join(ink if bit & mask else paper for mask in (8, 4, 2, 1)) for bit in bits)
                picture.append(b"".join(cells) * SCALE)
        picture.append(self._pixel(PAPER) * WIDTH * (HEIGHT - ROWS * 6 * SCALE))
        return b"".join(picture)

    def _pixel(self, colour: tuple[int, int, int]) -> bytes:
        bits, _, big_endian, _, *rest = self.format
        maxima, shifts = rest[:3], rest[3:]
        value = sum(
            part * top // 255 << shift for part, top, shift in zip(colour, maxima, shifts, strict=True)
        )
        return (value & (1 << bits) - 1).to_bytes(bits // 8, "big" if big_endian else "little")

    def _take(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self.end.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

"""An engine's statistics and boards for Python, from shared memory, read-only.

    python3 corelane_stats.py /dev/shm/corelane-1000/main-1790000000123-4242
    python3 corelane_stats.py DIR 1000      looks at the boards as many times and prints each look

    with Stats("/dev/shm/corelane-1000/main-1790000000123-4242") as stats:
        print(stats.counters["feed.messages"], stats.hist("feed.parse").quantile_ns(0.99))
    with Boards(...) as boards:
        print(boards.top(0))

The standard library alone, Python 3.9 or later. It works on a living engine and on a dead one's files, and costs the
engine nothing but the lines it looks at. For numpy: `numpy.frombuffer(stats.hist_words("feed.parse"), "u8")`.

The layout is told in src/stats/layout.rs, src/stats/boards.rs, rings/header.rs and rings/board.rs. What another process
wrote is input: every place is checked before it is followed. A word is one load of eight bytes, and the loads of a
board stay in order because x86-64 keeps them so: elsewhere boards are refused.

Absent: writing, sleeping, anything about what a name means.
"""

import errno
import fcntl
import math
import mmap
import os
import platform
import stat
import struct
import sys
from collections import namedtuple

STATS_LAYOUT = 2
BOARDS_LAYOUT = 1
HEADER_BYTES = 256
NAME_MAX = 48
ROWS_MAX = 1 << 20

COUNTER, GAUGE, HIST, AGENT, ORDERS, TICKS, LABEL = range(1, 8)

BOARD_TAG = int.from_bytes(b"seqboard", "little")
ATTEMPTS = 1000
F_OFD_GETLK = 36

Header = namedtuple("Header", "created_ns pid uid epoch build_hash config_hash")
Entry = namedtuple("Entry", "kind name rows at row_words")
Top = namedtuple("Top", "bid_px bid_qty ask_px ask_qty recv_ns state px_decimals qty_decimals published")
Position = namedtuple("Position", "position realised unrealised open_orders ts_ns trading published")


class SegmentError(Exception):
    """A segment that cannot be opened. `why` is one of: not_found, denied, not_a_file, foreign, permissions, not_ready,
    wrong_magic, wrong_type, wrong_layout, truncated, wrong_size, system, wrong_machine."""

    def __init__(self, why, path, detail=""):
        super().__init__(f"{path}: {why}{': ' if detail else ''}{detail}")
        self.why = why


class Segment:
    """A file of shared memory, mapped read-only, and what its header says."""

    def __init__(self, path, type_id, layout):
        self.path, self._map, self._words = str(path), None, None
        if sys.byteorder != "little":
            raise SegmentError("wrong_machine", path, "a little-endian one is wanted")
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(path, flags)
        except OSError as error:
            names = {errno.ENOENT: "not_found", errno.ENOTDIR: "not_found", errno.EACCES: "denied"}
            names.update({errno.EPERM: "denied", errno.ELOOP: "not_a_file"})
            raise SegmentError(names.get(error.errno, "system"), path, error.strerror) from None
        try:
            self._open(type_id, layout)
        except BaseException:
            self.close()
            raise

    def _open(self, type_id, layout):
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            raise SegmentError("not_a_file", self.path)
        if found.st_uid != os.geteuid():
            raise SegmentError("foreign", self.path, f"of user {found.st_uid}")
        if found.st_mode & 0o077:
            raise SegmentError("permissions", self.path, f"mode {found.st_mode & 0o7777:o}")
        if found.st_size == 0:
            raise SegmentError("not_ready", self.path)
        if found.st_size < HEADER_BYTES:
            raise SegmentError("truncated", self.path, f"{found.st_size} bytes")
        self._map = mmap.mmap(self._fd, found.st_size, access=mmap.ACCESS_READ)
        magic, found_layout, found_type, length, *rest = struct.unpack_from("<8sI4sQQIIQQQ", self._map)
        if magic == bytes(8):
            raise SegmentError("not_ready", self.path)
        if magic != b"corelan1":
            raise SegmentError("wrong_magic", self.path, repr(magic))
        if found_type != type_id:
            raise SegmentError("wrong_type", self.path, f"{found_type!r}, expected {type_id!r}")
        if found_layout != layout:
            raise SegmentError("wrong_layout", self.path, f"{found_layout}, expected {layout}")
        if length > found.st_size - HEADER_BYTES:
            raise SegmentError("truncated", self.path, f"{found.st_size} bytes")
        if length != found.st_size - HEADER_BYTES or length % 8:
            raise SegmentError("wrong_size", self.path, f"{found.st_size} bytes")
        self.header = Header(*rest)
        # Native words: each access is one load. Slices of this view copy nothing.
        with memoryview(self._map) as whole:
            self._words = whole[HEADER_BYTES:].cast("Q")

    def alive(self):
        """Whether the process that made it lives: it holds a lock on the file's first byte. Takes nothing."""
        lock = struct.pack("hh4xqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        lock = fcntl.fcntl(self._fd, F_OFD_GETLK, lock)
        return struct.unpack_from("h", lock)[0] != fcntl.F_UNLCK

    def word(self, at):
        """Word `at` of the body; 0 beyond its end."""
        return self._words[at] if 0 <= at < len(self._words) else 0

    def close(self):
        """Unmaps and closes. Views that were handed out must be released first."""
        if self._words is not None:
            self._words.release()
            self._words = None
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Hist:
    """The counts of one histogram, copied out; every answer comes from the copy, and so agrees with every other."""

    def __init__(self, counts, half):
        self.counts, self.half, self.total = counts, half, sum(counts)

    def lowest_ns(self, bucket):
        """Smallest value of a bucket."""
        half = self.half
        return bucket if bucket < 2 * half else (half + bucket % half) << (bucket // half - 1)

    def highest_ns(self, bucket):
        """Largest value of a bucket."""
        width = 1 if bucket < 2 * self.half else 1 << (bucket // self.half - 1)
        return self.lowest_ns(bucket) + width - 1

    def buckets(self):
        """Those that are not empty: smallest value, largest value, count."""
        return [(self.lowest_ns(i), self.highest_ns(i), n) for i, n in enumerate(self.counts) if n]

    def max_ns(self):
        """Largest value of the highest bucket that is not empty; 0 when all are."""
        return max((self.highest_ns(i) for i, n in enumerate(self.counts) if n), default=0)

    def quantile_ns(self, quantile):
        """Value at a quantile of 0.0 to 1.0: the largest of the bucket in which it falls, as HdrHistogram answers."""
        quantile = min(max(quantile, 0.0), 1.0)
        wanted, seen = max(math.ceil(quantile * float(self.total)), 1), 0
        for i, n in enumerate(self.counts):
            seen += n
            if seen >= wanted:
                return self.lowest_ns(i) if quantile == 0.0 else self.highest_ns(i)
        return self.max_ns()


class Stats(Segment):
    """The statistics of the engine whose instance directory `directory` is.

    `entries` is the directory in order of declaration, `labels` the words of a row by kind and label, `refused` how many
    entries could not be understood.
    """

    def __init__(self, directory):
        super().__init__(os.path.join(directory, "stats"), b"stat", STATS_LAYOUT)
        half, largest = self.word(3), self.word(4)
        self.half = half if 1 <= half <= ROWS_MAX and half & (half - 1) == 0 and largest >> 48 == 0 else 0
        doublings = 2
        while self.half and self.half << (doublings - 1) <= largest:
            doublings += 1
        self._row_words = {COUNTER: 1, GAUGE: 1, HIST: doublings * self.half, AGENT: 16, ORDERS: 16, TICKS: 8}
        first, claimed = self.word(2), self.word(1)
        room = max(len(self._words) - first, 0) // 8
        found = [self._entry(first + i * 8) for i in range(min(claimed, room))]
        self.refused = claimed - min(claimed, room) + found.count(None)
        self.entries = [entry for entry in found if entry and entry.kind != LABEL]
        self.labels = {}
        for entry in found:
            if entry and entry.kind == LABEL:
                self.labels.setdefault(entry.rows, {}).setdefault(entry.name, entry.at)

    def _entry(self, base):
        head, at = self.word(base), self.word(base + 1)
        kind, length, rows = head & 0xFF, head >> 8 & 0xFF, head >> 16
        if length > NAME_MAX:
            return None
        letters = self._words[base + 2 : base + 8].tobytes()[:length]
        name = "".join(chr(letter) if 0x21 <= letter <= 0x7E else "?" for letter in letters)
        if kind == LABEL:
            return Entry(kind, name, rows, at, 0) if at < 16 else None
        row_words = self._row_words.get(kind, 0)
        wrong_rows = kind < ORDERS and rows != 1 or kind == TICKS and rows & (rows - 1) != 0
        if row_words == 0 or not 1 <= rows <= ROWS_MAX or wrong_rows:
            return None
        if at + rows * row_words > len(self._words):
            return None
        return Entry(kind, name, rows, at, row_words)

    def _all(self, kind):
        return [entry for entry in self.entries if entry.kind == kind]

    def _find(self, kind, name):
        for entry in self._all(kind):
            if entry.name == name:
                return entry
        raise KeyError(name)

    @property
    def counters(self):
        """Rising counts by name."""
        return {entry.name: self.word(entry.at) for entry in self._all(COUNTER)}

    @property
    def gauges(self):
        """Signed levels by name."""
        return {entry.name: _signed(self.word(entry.at)) for entry in self._all(GAUGE)}

    @property
    def agents(self):
        """Heartbeats: by name, words by label."""
        return {entry.name: self._row(entry, 0) for entry in self._all(AGENT)}

    @property
    def hists(self):
        """Names of the histograms."""
        return [entry.name for entry in self._all(HIST)]

    def hist(self, name):
        """One histogram, copied out."""
        return Hist(self.hist_words(name).tolist(), self.half)

    def hist_words(self, name):
        """Its counts where they lie, a view to be released before the segment is closed."""
        entry = self._find(HIST, name)
        return self._words[entry.at : entry.at + entry.row_words]

    def orders(self):
        """The orders in the trace: by slot, words by label, 0 for what is not this order's.

        A slot is used again when its order is done, so a row mixes an old order with a new one: `risk_ns` says which it
        is, and a time that claims to follow but is earlier, or to precede but is later, is another's.
        """
        orders = {}
        for entry in self._all(ORDERS):
            for slot in range(entry.rows):
                row = self._row(entry, slot)
                risk = row.get("risk_ns", 0)
                if risk == 0:
                    continue
                for label in ("recv_ns", "parsed_ns", "signal_ns"):
                    if label in row and row[label] > risk:
                        row[label] = 0
                for label in ("client_ns", "sent_ns", "acked_ns"):
                    if label in row and row[label] < risk:
                        row[label] = 0
                if row.get("client_ns", 0) == 0 and "client_cycle" in row:
                    row["client_cycle"] = 0
                orders[slot] = row
        return orders

    def ticks(self):
        """The rows of market events that were written: by row, words by label."""
        rows = {row: self._row(entry, row) for entry in self._all(TICKS) for row in range(entry.rows)}
        return {row: words for row, words in rows.items() if words.get("feed_cause_plus_1", 0)}

    def _row(self, entry, row):
        first = entry.at + row * entry.row_words
        labels = self.labels.get(entry.kind, {})
        return {label: self.word(first + at) for label, at in labels.items() if at < entry.row_words}


class Boards(Segment):
    """The boards of the engine whose instance directory `directory` is: top and position of each instrument."""

    def __init__(self, directory):
        super().__init__(os.path.join(directory, "boards"), b"brds", BOARDS_LAYOUT)
        if platform.machine() not in ("x86_64", "AMD64"):
            self.close()
            raise SegmentError("wrong_machine", self.path, "loads may pass each other here")

    @property
    def instruments(self):
        """How many instruments have boards; 0 while the engine starts."""
        return min(self.word(0), max(len(self._words) - 16, 0) // 64)

    def _board(self, instrument, which):
        """How often the board was published, and its value; None before the first, or when all tries met its writer at
        work, or dead at it."""
        if not 0 <= instrument < self.instruments:
            return None
        board = 16 + instrument * 64 + which * 32
        if self._words[board] != BOARD_TAG or self._words[board + 1] != 8:
            return None
        for _ in range(ATTEMPTS):
            version = self._words[board + 16]
            if version % 2 == 0:
                value = [self._words[board + 17 + i] for i in range(8)]
                if self._words[board + 16] == version:
                    return (version // 2, value) if version else None
        return None

    def top(self, instrument):
        """The latest top; None when there is none. Prices and quantities are mantissas at so many decimals, times ns
        since 1970 UTC; state 0 down, 1 syncing, 2 in sync, 3 gap: prices mean nothing unless in sync."""
        found = self._board(instrument, 0)
        if found is None:
            return None
        published, value = found
        return Top(*(_signed(word) for word in value[:4]), *value[4:], published)

    def position(self, instrument):
        """The latest position; None when there is none. The base at the decimals of quantities, profits at the sum of
        both decimals."""
        found = self._board(instrument, 1)
        if found is None:
            return None
        published, value = found
        realised, unrealised = value[1] | _signed(value[2]) << 64, value[3] | _signed(value[4]) << 64
        return Position(_signed(value[0]), realised, unrealised, value[5], value[6], value[7] == 1, published)


def _signed(word):
    return word - (1 << 64) if word >> 63 else word


def _labelled(row):
    return "".join(f" {label}={value}" for label, value in row.items())


def _show_stats(stats):
    head = stats.header
    print(
        f"stats pid={head.pid} epoch={head.epoch} build={head.build_hash:016x} config={head.config_hash:016x} "
        f"alive={int(stats.alive())}"
    )
    for entry in stats.entries:
        if entry.kind == COUNTER:
            print(f"counter {entry.name} {stats.counters[entry.name]}")
        elif entry.kind == GAUGE:
            print(f"gauge {entry.name} {stats.gauges[entry.name]}")
        elif entry.kind == HIST:
            hist = stats.hist(entry.name)
            quantiles = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
            found = {name: hist.quantile_ns(quantile) for name, quantile in quantiles.items()}
            print(f"hist {entry.name}" + _labelled({"count": hist.total, **found, "max": hist.max_ns()}))
        elif entry.kind == AGENT:
            print(f"agent {entry.name}" + _labelled(stats.agents[entry.name]))
        elif entry.kind == ORDERS:
            for slot, row in stats.orders().items():
                print(f"order {slot}" + _labelled(row))
        elif entry.kind == TICKS:
            for row, words in stats.ticks().items():
                print(f"tick {row}" + _labelled(words))
    print(f"refused {stats.refused}")


def _show_boards(boards):
    for i in range(boards.instruments):
        top, position = boards.top(i), boards.position(i)
        if top:
            print(
                f"top {i} published={top.published} bid={top.bid_px}x{top.bid_qty} ask={top.ask_px}x{top.ask_qty} "
                f"recv_ns={top.recv_ns} state={top.state} decimals={top.px_decimals},{top.qty_decimals}"
            )
        if position:
            bits = (1 << 128) - 1
            print(
                f"position {i} published={position.published} base={position.position} "
                f"realised={position.realised & bits:032x} unrealised={position.unrealised & bits:032x} "
                f"open={position.open_orders} ts_ns={position.ts_ns} trading={int(position.trading)}"
            )


def main(arguments):
    """What show.c prints, letter by letter."""
    looks = int(arguments[1]) if len(arguments) == 2 and arguments[1].isdigit() else 0
    if not (len(arguments) == 1 or looks > 0):
        print("usage: corelane_stats.py DIR [LOOKS]", file=sys.stderr)
        return 2
    shown = False
    opened = {}
    for name, kind in (("stats", Stats), ("boards", Boards)):
        try:
            opened[name] = kind(arguments[0])
            shown = True
        except SegmentError as error:
            print(f"{name}: {error.why}", file=sys.stderr)
    if "stats" in opened:
        with opened["stats"] as stats:
            if looks == 0:
                _show_stats(stats)
    if "boards" in opened:
        with opened["boards"] as boards:
            for _ in range(max(looks, 1)):
                _show_boards(boards)
    return 0 if shown else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

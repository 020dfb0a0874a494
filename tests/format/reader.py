#!/usr/bin/env python3
"""Reads Flumen channel directories; written from docs/FORMAT.md alone, to prove that it suffices.

Usage: reader.py DIRECTORY...

Prints, for each directory: the verdict, the next sequence, the cursors, and the events still queued.
Texts and bodies are in hexadecimal. Writes nothing into the directory.
"""
import os
import re
import struct
import sys
import zlib

PAGE, RECORD_HEADER, SLOT_HEADER = 4096, 40, 112
PUT, ACK, STATE, WATERMARK, CLOSE, MOVED = range(1, 7)


class Damage(Exception):
    pass


class Unsupported(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Damage(what)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Input:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        need(size <= len(self.data) - self.at, "a length past the end")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                need(value < 1 << 64 and (byte or not shift), "a bad varint")
                return value
        raise Damage("a long varint")

    def text(self, size):
        raw = self.take(size)
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Damage("text that is not UTF-8") from error
        return raw

    def at_end(self):
        return self.at == len(self.data)


def ascending(names):
    need(all(a < b for a, b in zip(names, names[1:])), "names that do not ascend")


class Queue:
    def __init__(self):
        self.next, self.size, self.low, self.above, self.cursors = 0, 0, 0, [], {}

    @staticmethod
    def decode(data):
        """The queue's part of a state."""
        queue, from_ = Queue(), Input(data)
        queue.next, queue.size = from_.varint(), from_.varint()
        from_.varint(), from_.varint()  # the hint
        queue.low = end = from_.varint()
        for _ in range(from_.varint()):
            gap, count = from_.varint(), from_.varint()
            need(gap and count, "empty or touching ranges")
            queue.above.append((end + gap, end + gap + count))
            end += gap + count
        need(end <= queue.next, "acknowledged beyond the end")
        for _ in range(from_.varint()):
            name = from_.text(from_.varint())
            queue.cursors[name] = from_.take(from_.varint())
        ascending(list(queue.cursors))
        need(from_.at_end(), "bytes after the state")
        return queue

    def acked(self, start, end):
        """Whether all of start..end is acknowledged."""
        start = max(start, self.low)
        return start >= end or any(a <= start and end <= b for a, b in self.above)

    def acknowledge(self, start, end):
        need(start < end <= self.next and start >= self.low, "an ack out of place")
        need(all(end <= a or b <= start for a, b in self.above), "acknowledged twice")
        merged = [(self.low, self.low)]
        for a, b in sorted(self.above + [(start, end)]):
            merged[-1:] = [(merged[-1][0], b)] if merged[-1][1] == a else [merged[-1], (a, b)]
        self.low, self.above = merged[0][1], merged[1:]

    def set_cursors(self, from_, count):
        names = []
        for _ in range(count):
            name_size, value_size = from_.number("H"), from_.number("H")
            names.append(from_.text(name_size))
            if value_size == 0xFFFF:
                self.cursors.pop(names[-1], None)
            else:
                self.cursors[names[-1]] = from_.take(value_size)
        ascending(names)

    def apply(self, record):
        if record.kind == MOVED and record.sequence <= self.next:
            return
        need(record.sequence == self.next, "a record that does not follow")
        from_ = Input(record.payload)
        if record.kind == PUT:
            count = from_.number("I")
            self.set_cursors(from_, from_.number("I"))
            self.next, self.size = self.next + count, self.size + len(record.payload) - from_.at
        elif record.kind == ACK:
            size, count = from_.number("Q"), from_.number("I")
            self.set_cursors(from_, from_.number("I"))
            before = -1
            for _ in range(count):
                start, length = from_.number("Q"), from_.number("Q")
                need(start > before, "ranges that touch or do not ascend")
                before = start + length
                self.acknowledge(start, before)
            need(from_.at_end() and size <= self.size, "an ack that does not fit")
            self.size -= size


def events_of(record):
    from_ = Input(record.payload)
    count = from_.number("I")
    Queue().set_cursors(from_, from_.number("I"))
    for index in range(count):
        headers_size, body_size = from_.number("I"), from_.number("I")
        inner, headers = Input(from_.take(headers_size)), []
        while not inner.at_end():
            key_size, value_size = inner.number("I"), inner.number("I")
            headers.append((inner.text(key_size), inner.text(value_size)))
        ascending([key for key, _ in headers])
        yield record.sequence + index, headers, from_.take(body_size)
    need(from_.at_end(), "bytes after the last event")


def decode_state(data):
    """The complete segments as {number: (base, size, first sequence, events)}, and the queue's part."""
    from_, sealed = Input(data), {}
    number = end = sequence = 0
    for _ in range(from_.varint()):
        step, gap, size, skipped, events = (from_.varint() for _ in range(5))
        need(step, "segment numbers that do not ascend")
        number, base, first = number + step, end + gap, sequence + skipped
        sealed[number] = (base, size, first, events)
        end, sequence = base + size, first + events
    return sealed, data[from_.at:]


def check_preamble(data, magic):
    need(len(data) >= 20 and data[:8] == magic, "another magic")
    version = struct.unpack_from("<I", data, 8)[0]
    need(0 < version < 1000, "no version")
    if version != 1:
        raise Unsupported(f"version {version}")


def check_features(data):
    required = struct.unpack_from("<I", data, 12)[0]
    if required:
        raise Unsupported(f"required features {required:#x}")


class Slot:
    def __init__(self, data):
        check_preamble(data, b"FLUMENCP")
        need(len(data) >= SLOT_HEADER, "a short slot")
        self.clean = data[20] == 1
        self.id = data[24:40]
        (self.generation, self.epoch, self.tail, self.base, self.lsn, self.watermark, self.numbers_used,
         size, state_crc, _, crc) = struct.unpack_from("<7Q4I", data, 40)
        need(crc == zlib.crc32(data[:108]), "the checksum of a slot")
        check_features(data)
        state = data[SLOT_HEADER:SLOT_HEADER + size]
        need(len(state) == size and zlib.crc32(state) == state_crc, "the checksum of a state")
        self.sealed, self.queue = decode_state(state)
        self.bytes = data[:SLOT_HEADER + size]


class Record:
    pass


class Segment:
    def __init__(self, path, number):
        self.path, self.data = path, read(path)
        check_preamble(self.data, b"FLUMENSG")
        need(len(self.data) >= PAGE, "a short header page")
        need(zlib.crc32(self.data[:4092]) == struct.unpack_from("<I", self.data, 4092)[0],
             "the checksum of a segment header")
        check_features(self.data)
        self.id = self.data[24:40]
        (self.number, self.base, self.first_sequence, self.capacity,
         self.epoch) = struct.unpack_from("<5Q", self.data, 40)
        need(self.number == number, "another number than in the name")
        self.limit = min(len(self.data), self.capacity)

    def lsn(self, offset):
        return self.base + offset - PAGE

    def record(self, offset, limit):
        """The valid record at an offset, or None."""
        found = header_at(self.data, self.id, self.number, offset, limit, self.lsn(offset))
        if found is None:
            return None
        body = offset + RECORD_HEADER
        found.end = (body + found.size + 7) // 8 * 8
        if found.end > limit:
            return None
        found.payload = self.data[body:body + found.size]
        padding = self.data[body + found.size:found.end]
        if zlib.crc32(found.payload) != found.payload_crc or any(padding):
            return None
        return found


def header_at(data, channel, number, offset, limit, lsn=None):
    """The valid record header at an offset, or None; without an Lsn, any will do."""
    header = data[offset:min(offset + RECORD_HEADER, limit)]
    if len(header) < RECORD_HEADER or not any(header):
        return None
    found = Record()
    (crc, found.kind, z0, z1, z2, found.payload_crc, found.size, found.lsn, found.watermark,
     found.sequence) = struct.unpack("<I4BIIQQQ", header)
    if lsn is not None and found.lsn != lsn or found.watermark > found.lsn or not 1 <= found.kind <= 6:
        return None
    seed = channel + struct.pack("<QQ", number, offset)
    if z0 or z1 or z2 or crc != zlib.crc32(seed + header[4:]):
        return None
    return found


class Reader:
    def __init__(self, path):
        self.path = path
        names = (re.fullmatch(r"(\d{20})\.seg", name) for name in os.listdir(path))
        self.names = {int(match[1]): match[0] for match in names if match}

    def open(self, number):
        return Segment(os.path.join(self.path, self.names[number]), number)

    def slot(self, name):
        path = os.path.join(self.path, name)
        try:
            return Slot(read(path)) if os.path.exists(path) else None
        except Damage:
            return None

    def begin(self):
        """The segment to begin in, if any, and the offset to begin at."""
        self.slots = [self.slot("checkpoint-a"), self.slot("checkpoint-b")]
        valid = sorted(filter(None, self.slots), key=lambda slot: slot.generation)
        if len(valid) == 2:
            a, b = valid
            need(a.id == b.id, "slots of two channels")
            need(a.generation != b.generation or a.bytes == b.bytes, "two slots of one generation")
        if not valid:
            return self.begin_without_slot()
        slot = valid[-1]
        newer = self.newest_in_use(slot)
        if newer:
            return self.begin_in(newer)
        self.id, self.sealed, self.watermark = slot.id, slot.sealed, slot.watermark
        if not slot.tail:
            self.queue = Queue()
            return None, PAGE
        need(slot.tail in self.names, "the last segment is missing")
        segment = self.open(slot.tail)
        need((segment.id, segment.base) == (slot.id, slot.base),
             "another segment than the slot names")
        self.queue = Queue.decode(slot.queue)
        return segment, PAGE + slot.lsn - slot.base

    def begin_without_slot(self):
        if not self.names:
            raise FileNotFoundError("no channel")
        for number in sorted(self.names, reverse=True):
            try:
                segment = self.open(number)
            except Damage:
                continue
            for newer in (other for other in self.names if other > number):
                need(not self.holds(segment.id, newer, (STATE,)), "events behind the last header")
            return self.begin_in(segment)
        raise Damage("no valid slot and no valid segment")

    def begin_in(self, segment):
        """Begins with the state at the head of a segment."""
        first = segment.record(PAGE, segment.limit)
        need(first and first.kind == STATE, "no state at the head of a segment")
        self.id, self.watermark = segment.id, segment.lsn(first.end)
        self.sealed, queue = decode_state(first.payload)
        self.queue = Queue.decode(queue)
        return segment, first.end

    def holds(self, channel, number, harmless):
        """Whether a segment's file holds records of its own beside the harmless kinds."""
        data = read(os.path.join(self.path, self.names[number]))
        found = (header_at(data, channel, number, at, len(data)) for at in range(PAGE, len(data), 8))
        return any(header.kind not in harmless for header in found if header)

    def newest_in_use(self, slot):
        for number in sorted((n for n in self.names if n > slot.tail), reverse=True):
            if self.holds(slot.id, number, (STATE, MOVED)):
                segment = self.open(number)
                need(segment.id == slot.id, "a newer segment of another channel")
                return segment
            need(number <= slot.numbers_used + 1, "a segment whose number was not set aside")
        return None

    def replay(self):
        segment, at = self.begin()
        self.last = segment
        if not segment:
            return "unborn"
        need(at <= segment.limit, "a short segment")
        while record := segment.record(at, segment.limit):
            self.queue.apply(record)
            self.watermark = max(self.watermark, record.watermark)
            at = record.end
        self.end = at
        return self.judge(segment, at)

    def judge(self, segment, at):
        end = segment.lsn(at)
        if all(slot and slot.clean and slot.watermark <= slot.lsn == end for slot in self.slots):
            return "clean"
        need(len(segment.data) >= segment.capacity, "the last segment is shorter than it was made")
        promised = self.watermark
        for offset in range(at, segment.limit, 8):
            found = header_at(segment.data, self.id, segment.number, offset, segment.limit,
                              segment.lsn(offset))
            promised = max(promised, found.watermark if found else 0)
        need(promised <= end, f"segment {segment.number}, offset {at}: Lsn {promised} was promised")
        return "torn" if any(segment.data[at:segment.limit]) else "blank"

    def events(self):
        for number, (base, size, first, count) in sorted(self.sealed.items()):
            if self.queue.acked(first, first + count):
                continue
            need(number in self.names, f"segment {number} is missing")
            segment = self.open(number)
            need((segment.id, segment.base) == (self.id, base),
                 "another segment than the state lists")
            yield from self.records(segment, PAGE + size)
        if self.last:
            yield from self.records(self.last, self.end)

    def records(self, segment, limit):
        at = PAGE
        while at < limit:
            record = segment.record(at, limit)
            need(record, f"segment {segment.number}, offset {at}: no record")
            at = record.end
            if record.kind in (PUT, MOVED):
                for sequence, headers, body in events_of(record):
                    if not self.queue.acked(sequence, sequence + 1):
                        yield sequence, headers, body


def report(path):
    reader = Reader(path)
    lines = ["verdict " + reader.replay(), f"next {reader.queue.next}"]
    lines += [f"cursor {name.hex()} {value.hex()}" for name, value in sorted(reader.queue.cursors.items())]
    for sequence, headers, body in reader.events():
        texts = "".join(f" {key.hex()}={value.hex()}" for key, value in headers)
        lines.append(f"event {sequence} {body.hex()}{texts}")
    return lines


def main(paths):
    worst = 0
    for path in paths:
        try:
            lines = report(path)
        except Damage as damage:
            worst, lines = 1, [f"verdict damage: {damage}"]
        except Unsupported as unsupported:
            worst, lines = 1, [f"verdict unsupported: {unsupported}"]
        except FileNotFoundError as absent:
            worst, lines = 1, [f"verdict absent: {absent}"]
        print("\n".join(["directory " + path] + lines))
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

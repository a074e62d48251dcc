"""Ways to damage or forge a bundle, each a function of its bytes and of chance; the result always differs."""

import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

BLOCK: Final = 512
NAME, MODE, UID, SIZE, MTIME, CHECKSUM = slice(0, 100), 100, 108, 124, 136, slice(148, 156)
TYPE, LINK, MAGIC, UNAME, PREFIX = 156, 157, 257, 265, 345


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a tar: its header block and its content."""

    block: bytes
    content: bytes

    @property
    def name(self) -> str:
        return self.block[NAME].rstrip(b"\0").decode()

    @property
    def stored(self) -> bytes:
        return self.block + self.content + bytes(-len(self.content) % BLOCK)

    def renamed(self, name: bytes) -> "Entry":
        return replace(self, block=patched(self.block, 0, name.ljust(100, b"\0")[:100]))


def entries_of(blob: bytes) -> list[Entry]:
    """Return the members of a tar."""
    found, at = [], 0
    while any(block := blob[at : at + BLOCK]):
        size = int(block[SIZE : SIZE + 11], 8)
        found.append(Entry(block, blob[at + BLOCK : at + BLOCK + size]))
        at += BLOCK + size + -size % BLOCK
    return found


def archive_of(entries: list[Entry]) -> bytes:
    """Return the tar of these members."""
    return b"".join(entry.stored for entry in entries) + bytes(2 * BLOCK)


def patched(block: bytes, at: int, value: bytes) -> bytes:
    """Return a header with other bytes at a place, its checksum right again."""
    changed = block[:at] + value + block[at + len(value) :]
    blank = changed[:148] + b" " * 8 + changed[156:]
    return changed[:148] + b"%06o\0 " % sum(blank) + changed[156:]


Mutation = Callable[[bytes, random.Random], bytes]


def flip_a_bit(blob: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(blob))
    return blob[:at] + bytes([blob[at] ^ 1 << chance.randrange(8)]) + blob[at + 1 :]


def replace_a_byte(blob: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(blob))
    return blob[:at] + bytes([(blob[at] + chance.randrange(1, 256)) % 256]) + blob[at + 1 :]


def scramble_a_run(blob: bytes, chance: random.Random) -> bytes:
    length = chance.randrange(1, 2048)
    at = chance.randrange(len(blob) - length)
    return blob[:at] + bytes(byte ^ 0x55 for byte in blob[at : at + length]) + blob[at + length :]


def zero_a_block(blob: bytes, chance: random.Random) -> bytes:
    blocks = [at for at in range(0, len(blob), BLOCK) if any(blob[at : at + BLOCK])]
    at = chance.choice(blocks)
    return blob[:at] + bytes(BLOCK) + blob[at + BLOCK :]


def truncate(blob: bytes, chance: random.Random) -> bytes:
    return blob[: chance.randrange(len(blob))]


def append(blob: bytes, chance: random.Random) -> bytes:
    return blob + (chance.randbytes(chance.randrange(1, 2048)) if chance.random() < 0.5 else bytes(BLOCK))


def insert(blob: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(blob) - 2 * BLOCK)
    return blob[:at] + chance.randbytes(chance.choice([1, 7, BLOCK])) + blob[at:]


def delete(blob: bytes, chance: random.Random) -> bytes:
    length = chance.choice([1, 7, BLOCK])
    at = chance.randrange(len(blob) - length)
    return blob[:at] + blob[at + length :]


def repeat_a_block(blob: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(blob) // BLOCK) * BLOCK
    return blob[:at] + blob[at : at + BLOCK] + blob[at:]


def reorder(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    first, second = chance.sample(range(len(entries)), 2)
    entries[first], entries[second] = entries[second], entries[first]
    return archive_of(entries)


def duplicate(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    entries.insert(chance.randrange(len(entries) + 1), chance.choice(entries))
    return archive_of(entries)


def leave_out(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    entries.pop(chance.randrange(len(entries)))
    return archive_of(entries)


def _with_one(blob: bytes, chance: random.Random, change: Callable[[Entry], Entry]) -> bytes:
    entries = entries_of(blob)
    at = chance.randrange(len(entries))
    entries[at] = change(entries[at])
    return archive_of(entries)


def add_a_file(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    name = f"extra-{chance.randrange(1000)}".encode()
    entries.insert(chance.randrange(len(entries) + 1), chance.choice(entries).renamed(name))
    return archive_of(entries)


def rename(blob: bytes, chance: random.Random) -> bytes:
    name = chance.choice([b"other", b"wheels/other.whl", b"playbooks/install.yaml"])
    return _with_one(blob, chance, lambda entry: entry.renamed(name))


def name_outside(blob: bytes, chance: random.Random) -> bytes:
    return _with_one(
        blob,
        chance,
        lambda entry: entry.renamed(chance.choice([b"../", b"./", b"a/../../", b"..\\"]) + entry.name.encode()),
    )


def name_absolute(blob: bytes, chance: random.Random) -> bytes:
    return _with_one(blob, chance, lambda entry: entry.renamed(b"/" + entry.name.encode()))


def name_nothing(blob: bytes, chance: random.Random) -> bytes:
    return _with_one(blob, chance, lambda entry: entry.renamed(b""))


def name_by_prefix(blob: bytes, chance: random.Random) -> bytes:
    return _with_one(blob, chance, lambda entry: replace(entry, block=patched(entry.block, PREFIX, b"up\0")))


def make_a_link(blob: bytes, chance: random.Random) -> bytes:
    kind, target = chance.choice([tarfile.LNKTYPE, tarfile.SYMTYPE]), chance.choice([b"models.lock", b"/etc/passwd"])

    def link(entry: Entry) -> Entry:
        return Entry(patched(patched(patched(entry.block, TYPE, kind), LINK, target), SIZE, b"00000000000"), b"")

    return _with_one(blob, chance, link)


def make_it_special(blob: bytes, chance: random.Random) -> bytes:
    kinds = [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CONTTYPE, tarfile.AREGTYPE]
    kind = chance.choice(kinds)
    return _with_one(blob, chance, lambda entry: replace(entry, block=patched(entry.block, TYPE, kind)))


def extend_a_header(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    at = chance.randrange(len(entries))
    kind = chance.choice([tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
    content = b"18 path=/etc/motd\n"
    block = patched(patched(entries[at].block, TYPE, kind), SIZE, b"%011o" % len(content))
    entries.insert(at, Entry(block, content))
    return archive_of(entries)


def change_permissions(blob: bytes, chance: random.Random) -> bytes:
    mode = chance.choice([b"0000777", b"0004755", b"0000600"])
    return _with_one(blob, chance, lambda entry: replace(entry, block=patched(entry.block, MODE, mode)))


def change_owner_or_time(blob: bytes, chance: random.Random) -> bytes:
    at, value = chance.choice([(UID, b"0001750"), (MTIME, b"14712345670"), (UNAME, b"root"), (MAGIC, b"ustar\x0001")])
    return _with_one(blob, chance, lambda entry: replace(entry, block=patched(entry.block, at, value)))


def change_a_size(blob: bytes, chance: random.Random) -> bytes:
    step = chance.choice([-1, 1, BLOCK])

    def resized(entry: Entry) -> Entry:
        return replace(entry, block=patched(entry.block, SIZE, b"%011o" % max(0, len(entry.content) + step)))

    return _with_one(blob, chance, resized)


def break_a_checksum(blob: bytes, chance: random.Random) -> bytes:
    def broken(entry: Entry) -> Entry:
        wrong = b"%06o\0 " % chance.randrange(1, 64)
        return replace(entry, block=entry.block[:148] + wrong + entry.block[156:])

    return _with_one(blob, chance, broken)


def fill_the_padding(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    padded = [index for index, entry in enumerate(entries) if len(entry.content) % BLOCK]
    chosen = chance.choice(padded)
    end = sum(len(entry.stored) for entry in entries[: chosen + 1])
    room = -len(entries[chosen].content) % BLOCK
    at = end - room + chance.randrange(room)
    return blob[:at] + bytes([chance.randrange(1, 256)]) + blob[at + 1 :]


def swap_contents(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    first, second = chance.sample(range(len(entries)), 2)
    for at, other in ((first, entries[second].content), (second, entries[first].content)):
        block = patched(entries[at].block, SIZE, b"%011o" % len(other))
        entries[at] = Entry(block, other)
    return archive_of(entries)


def forge_the_manifest(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    old, new = chance.choice(
        [(b'"serial": 7', b'"serial": 8'), (b'"cpu"', b'"gpu"'), (b'"0644"', b'"0755"'), (b'"12"', b'"13"')]
    )
    entries[0] = replace(entries[0], content=entries[0].content.replace(old, new))
    return archive_of(entries)


def forge_a_file_and_its_digest(blob: bytes, chance: random.Random) -> bytes:
    import hashlib

    entries = entries_of(blob)
    at = chance.randrange(2, len(entries))
    old = entries[at].content
    new = chance.randbytes(len(old))
    digests = [hashlib.sha256(content).hexdigest().encode() for content in (old, new)]
    entries[at] = replace(entries[at], content=new)
    entries[0] = replace(entries[0], content=entries[0].content.replace(*digests))
    return archive_of(entries)


def drop_the_signature(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    return archive_of([entry for entry in entries if not entry.name.endswith(".sig")])


def loosen_the_signature(blob: bytes, chance: random.Random) -> bytes:
    entries = entries_of(blob)
    lines = entries[1].content.splitlines(keepends=True)
    at = chance.randrange(len(lines))
    lines[at] = chance.choice([lines[at] + b"\n", lines[at].replace(b"\n", b"\r\n"), b" " + lines[at], lines[at] * 2])
    content = b"".join(lines)
    entries[1] = Entry(patched(entries[1].block, SIZE, b"%011o" % len(content)), content)
    return archive_of(entries)


def end_too_early(blob: bytes, chance: random.Random) -> bytes:
    return blob[: -chance.randrange(1, 2 * BLOCK + 1)]


def join_two_archives(blob: bytes, chance: random.Random) -> bytes:
    return blob + blob if chance.random() < 0.5 else blob[: -2 * BLOCK] + blob


MUTATIONS: Final[tuple[Mutation, ...]] = (
    flip_a_bit,
    replace_a_byte,
    scramble_a_run,
    zero_a_block,
    truncate,
    append,
    insert,
    delete,
    repeat_a_block,
    reorder,
    duplicate,
    leave_out,
    add_a_file,
    rename,
    name_outside,
    name_absolute,
    name_nothing,
    name_by_prefix,
    make_a_link,
    make_it_special,
    extend_a_header,
    change_permissions,
    change_owner_or_time,
    change_a_size,
    break_a_checksum,
    fill_the_padding,
    swap_contents,
    forge_the_manifest,
    forge_a_file_and_its_digest,
    drop_the_signature,
    loosen_the_signature,
    end_too_early,
    join_two_archives,
)

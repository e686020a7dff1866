"""mutants.py - the mistakes that the suite must catch: one small change of the sources each.

A mutant is a file, exact pieces of its text with what they become, and the test program (with a
filter, if only some of its sentences are meant) that is expected to fail first; `run` tries the
others of the suite after it. When the text of a source changes, `run` fails and names the mutant:
write the same mistake into the new text; do not delete the mutant.

`short` mutants are run by every CI run, the others by the long form. `needs_root`: only seen on a
real file system that loses power.
"""
from dataclasses import dataclass, field

STATES = "test_crash_states"
STORAGE = "test_crash_storage"
ENGINE = "test_unit_storage_engine"
FORMAT = "test_unit_storage_format"
HINT = "test_unit_storage_hint"
POWER = "test_crash_power"
KILL = "test_crash_kill"
SYSCALLS = "test_crash_syscalls"
BEHAVIOUR = "test_unit_daemon_behaviour"


@dataclass
class Mutant:
    name: str
    mistake: str
    file: str
    edits: list
    caught_by: list  # (program, filter or "")
    short: bool = False
    needs_root: bool = False
    program: str = ""  # the program that is linked anew, when it is not the test program itself
    defines: list = field(default_factory=list)


L = "storage/log/"

MUTANTS = [
    # --- syncs ---
    Mutant("no-fsync", "sync() reports success without a sync", L + "writer.cc",
           [("if (auto synced = segment.file().sync_data(); !synced) {",
             "if (auto synced = Result<void>{}; !synced) {")],
           [(STATES, "whatever*")], short=True),
    Mutant("no-fsync-at-rotation", "a sealed segment is not synced before its successor is used",
           L + "writer.cc",
           [("auto synced = sync_locked(*active_, progress_.committed.load(std::memory_order_acquire));",
             "auto synced = Result<void>{};")],
           [(STATES, "whatever*")], short=True),
    Mutant("no-directory-fsync", "MANIFEST names files whose names are not on the disk",
           L + "catalog.cc", [("if (!add.empty()) {", "if (false && !add.empty()) {")],
           [(STATES, "whatever*")], short=True),
    Mutant("manifest-not-synced", "MANIFEST.tmp is renamed before its bytes are on the disk",
           L + "manifest.cc", [("if (done) done = (*file)->sync_data();", "")],
           [(STATES, "whatever*")], short=True),
    Mutant("rename-not-synced", "a replaced MANIFEST is relied on before its name is on the disk",
           L + "manifest.cc", [("auto synced = directory.sync();", "auto synced = Result<void>{};")],
           [(STATES, "whatever*")], short=True),
    Mutant("manifest-in-place", "MANIFEST is overwritten instead of replaced", L + "manifest.cc",
           [('const std::string temporary = std::string(name).append(".tmp");',
             "const std::string temporary = std::string(name);"),
            ("if (auto renamed = directory.rename(temporary, name); !renamed) {",
             "if (auto renamed = Result<void>{}; !renamed) {")],
           [(STATES, "whatever*")]),
    Mutant("new-segment-not-synced", "a segment's header is not on the disk when MANIFEST names it",
           L + "catalog.cc", [("if (done) done = (*file)->sync_data();", "")],
           [(STATES, "whatever*")]),
    Mutant("ack-before-sync", "synced() moves before the sync has succeeded", L + "writer.cc",
           [("  syncs_.fetch_add(1, std::memory_order_relaxed);\n",
             "  syncs_.fetch_add(1, std::memory_order_relaxed);\n"
             "  progress_.synced.store(upto, std::memory_order_release);\n")],
           [(STORAGE, "a failed fdatasync*")], short=True),
    Mutant("retry-after-eio", "a failed sync is not final: the next one may succeed",
           L + "writer.cc",
           [("    health_.fail(synced.error().message());\n    return synced;\n  }\n  if (upto >",
             "    return synced;\n  }\n  if (upto >")],
           [(STORAGE, "a failed fdatasync*")], short=True),
    Mutant("tail-not-rewritten", "the tail after a crash is trusted because it can be read",
           L + "recovery.cc",
           [("if (auto again = write_again(tail.file(), recovered.unsure_from_bytes, end); !again) {",
             "if (auto again = Result<void>{}; !again) {")],
           [(STORAGE, "what a failed sync*")], short=True),
    Mutant("tail-not-synced", "what an open found is reported as synced without a sync",
           L + "recovery.cc", [("if (auto synced = tail.file().sync_data(); !synced) return synced;",
                                "")],
           [(STATES, "whatever*"), (STORAGE, "")]),
    Mutant("close-not-synced", "a clean stop is marked without a sync", L + "log_engine.cc",
           [("  compactor_.finish();\n  auto synced = writer_.sync_written();",
             "  compactor_.finish();\n  auto synced = Result<Position>(writer_.syncs());")],
           [(STATES, "whatever*")]),
    # --- what is promised ---
    Mutant("synced-upto-too-high", "frames vouch for what is not synced yet", L + "writer.cc",
           [("      .clock = clock,\n      .synced_upto = progress_.synced.load(std::memory_order_acquire)};",
             "      .clock = clock,\n      .synced_upto = progress_.committed.load(std::memory_order_acquire)};")],
           [(STATES, "whatever*")]),
    Mutant("durable-too-high", "MANIFEST vouches for what is not synced yet", L + "catalog.cc",
           [(".durable = progress_.synced.load()", ".durable = progress_.committed.load()")],
           [(STATES, "whatever*")]),
    Mutant("corruption-taken-for-a-torn-tail", "damage below what is vouched for is cut off",
           L + "recovery.cc", [("    if (promised_ > log_end_) {", "    if (false) {")],
           [(STATES, "any one bit*")], short=True),
    Mutant("clean-mark-kept", "the mark of a clean stop stays while the log goes on",
           L + "log_engine.cc",
           [("  auto named = catalog_.change(added, recovered->unneeded);\n",
             "  auto named = added.empty() && recovered->unneeded.empty()\n"
             "                   ? Result<void>{}\n"
             "                   : catalog_.change(added, recovered->unneeded);\n")],
           [(STATES, "whatever*")]),
    # --- recovery ---
    Mutant("torn-tail-not-cut", "garbage behind the last frame stays there", L + "recovery.cc",
           [("if (auto cut = tail.file().truncate(end); !cut) return cut;", "")],
           [(ENGINE, "a frame cut off*"), (STATES, "whatever*")]),
    Mutant("torn-frame-taken", "a frame whose record does not match its checksum is taken",
           L + "scanner.cc", [("if (!checksum_matches(bytes, segment_->seed(), offset, lsn)) {",
                               "if (false && lsn == 0) {")],
           [(STATES, "whatever*")], short=True),
    Mutant("crc-off", "checksums of records are not checked at all", L + "record.cc",
           [("  return load_le<std::uint32_t>(record.data()) ==\n",
             "  return true || load_le<std::uint32_t>(record.data()) ==\n")],
           [(STATES, "any one bit*")], short=True),
    Mutant("frame-crc-off", "checksums of frame headers are not checked", L + "frame.cc",
           [("if (load_le<std::uint32_t>(in + 4) != header_crc(in, segment_seed, offset_bytes)) {",
             "if (false && header_crc(in, segment_seed, offset_bytes) == 0) {")],
           [(STATES, "any one bit*")]),
    Mutant("no-place-in-checksum", "a record's checksum does not say where it belongs",
           L + "checksum.cc", [("store_le(place, offset_bytes);\n  store_le(place + 8, lsn);",
                                "store_le(place, lsn);\n  store_le(place + 8, lsn + 0 * offset_bytes);")],
           [(FORMAT, ""), (ENGINE, "a block of another*")]),
    Mutant("salt-not-used", "clients can make bytes that look like frames", L + "checksum.cc",
           [("store_le(place, salt);", "store_le(place, 0 * salt);")],
           [(FORMAT, "")], short=True),
    Mutant("lsn-order-wrong", "for one key the record that is read last counts", L + "keydir.cc",
           [("if (change.lsn <= before.entry.lsn) return;", "if (change.lsn == before.entry.lsn) return;")],
           [(STATES, "whatever*")], short=True),
    Mutant("failed-frame-left", "a frame that could not be written is not cut off", L + "writer.cc",
           [("if (auto cut = segment.file().truncate(offset); !cut) {",
             "if (auto cut = Result<void>{}; !cut) {")],
           [(STORAGE, ""), (STATES, "")]),
    Mutant("failed-write-published", "readers see a session whose write has failed",
           L + "log_engine.cc",
           [("  if (!placed) {\n    if (placed.error()",
             "  if (!placed) {\n    publish(writes, visibility,\n"
             "            {.segment = writer_.active(), .payload_offset_bytes = 72,\n"
             "             .first_lsn = committed() + 1, .last_lsn = committed() + writes.records()});\n"
             "    if (placed.error()")],
           [(STORAGE, "any*")]),
    Mutant("hint-crc-off", "a hint file's records are trusted without their checksum",
           L + "hint.cc", [("return got && *got == buffer.size() && hint_crc(seed_, chunk.offset_bytes, buffer) == chunk.crc;",
                            "return got && *got == buffer.size();")],
           [(STATES, "any one bit*"), (HINT, "")], short=True),
    Mutant("hint-trusted-alone", "a hint file is believed whatever its segment's end says",
           L + "hint_loader.cc",
           [("if (parsed.fault != nullptr || !parsed.header.is_seal()) return false;",
             "if (parsed.fault != nullptr || !parsed.header.is_seal()) return true;")],
           [(STATES, "any one bit*"), (HINT, "")]),
    # --- compaction ---
    Mutant("tombstone-dropped", "a tombstone goes while an older segment holds the key",
           L + "compactor.cc",
           [("return outlives_all ? Fate::drop : Fate::keep;", "return Fate::drop;")],
           [(STATES, "whatever*")], short=True),
    Mutant("expired-dropped", "an expired value goes while an older one of its key stays",
           L + "compactor.cc", [("  return Fate::as_tombstone;\n", "  return Fate::drop;\n")],
           [(STATES, "whatever*"), (ENGINE, "compaction does not let*")]),
    Mutant("clear-dropped", "the record that a database was emptied goes", L + "compactor.cc",
           [("return item.lsn == cleared ? Fate::keep : Fate::drop;", "return Fate::drop;")],
           [(STATES, "whatever*")]),
    Mutant("swap-dropped", "the record that says which database is which goes", L + "compactor.cc",
           [("return item.lsn == parts_.clears.newest(Clears::swap) ? Fate::keep : Fate::drop;",
             "return Fate::drop;")],
           [(STATES, "whatever*")], short=True),
    Mutant("inputs-deleted-first", "the victims' files go before MANIFEST lets go of them",
           L + "compactor.cc",
           [("      auto swapped = parts_.catalog.change(run.outputs, run.victims);",
             "      parts_.catalog.discard(run.victims);\n"
             "      auto swapped = parts_.catalog.change(run.outputs, run.victims);")],
           [(STATES, "whatever*")], short=True),
    Mutant("outputs-not-synced", "the victims go before the survivors are on the disk",
           L + "compaction_output.cc",
           [("if (auto synced = segment.file().sync_data(); !synced) return synced;", "")],
           [(STATES, "whatever*")], short=True),
    Mutant("overwrite-not-synced", "a record goes though what replaced it is not on the disk",
           L + "compactor.cc",
           [("auto synced = parts_.writer.sync_written();", "auto synced = Result<Position>(Position{0});")],
           [(STATES, "whatever*")]),
    Mutant("index-not-moved", "the index keeps pointing to files that are gone", L + "compactor.cc",
           [("    relocate(items[i], output);\n", "    (void)output;\n")],
           [(STATES, "whatever*")]),
    Mutant("live-holds-no-tombstone-back", "a tombstone goes although a segment holds dead records",
           L + "victims.cc",
           [("segment.counts.dead_bytes() <= 0 ? no_lsn : lsn", "segment.counts.dead_bytes() >= 0 ? no_lsn : lsn")],
           [(STATES, "whatever*")]),
    # --- databases that are exchanged ---
    Mutant("older-swap-counts", "the swap that is read last counts, not the newest",
           L + "index_feed.cc", [("if (lsn <= swap_.lsn) return;", "")],
           [(STATES, "whatever*")]),
    Mutant("swap-not-watched", "a read shows one database's value under the other's number",
           L + "log_engine.cc",
           [("  return databases_.read([&](const DatabaseMap& map) {\n    if (std::exchange(again, true))",
             "  const auto once = [&](auto&& look) { return look(databases_.now()); };\n"
             "  return once([&](const DatabaseMap& map) {\n    if (std::exchange(again, true))")],
           [(ENGINE, "a read that a swap has overtaken*")]),
    Mutant("swap-in-two-steps", "a swap shows before what its session has written besides",
           L + "log_engine.cc",
           [("    databases_.change(writes.databases(), lsn, [&] {\n      publish(writes, visibility, *placed);\n",
             "    databases_.change(writes.databases(), lsn, [] { return true; });\n"
             "    publish(writes, visibility, *placed);\n"
             "    databases_.change(writes.databases(), lsn, [&] {\n")],
           [(ENGINE, "a read beside swaps*")]),
    Mutant("swap-shown-early", "a read shows a swap that is not synced, under --sync always",
           "daemon/executor.cc",
           [("std::max(keys.position, services.engine.swapped());", "keys.position;")],
           [(BEHAVIOUR, "a reply that may rest on a swap*")]),
    # --- reading, sessions, time ---
    Mutant("corrupt-is-absent", "a record that is damaged is answered as absent", L + "log_engine.cc",
           [("    if (!read) return std::unexpected(read.error());\n    if (*read) return info_of",
             "    if (!read) return std::nullopt;\n    if (*read) return info_of")],
           [(STATES, "any one bit*")], short=True),
    Mutant("pending-value-survives", "a key set and removed in one session comes back",
           L + "session.cc", [("write != nullptr ? write->kind == RecordKind::value",
                               "write != nullptr ? engine_.indexed(key)")],
           [(STATES, "whatever*"), (ENGINE, "a key that was set*")]),
    Mutant("clock-forgotten", "what has expired comes back when the clock is turned back",
           L + "log_engine.cc", [("progress_.newest_clock = recovered->clock;", "")],
           [(ENGINE, "what has expired*")]),
    Mutant("deadline-forgotten", "recovery forgets deadlines", L + "index_feed.cc",
           [(".expire_at = record.expire_at};", ".expire_at = never};")],
           [(STATES, "whatever*")]),
    # --- the real file system ---
    Mutant("posix-no-fdatasync", "fdatasync is not called", "storage/file.cc",
           [("if (::fdatasync(descriptor_) != 0)", "if (false)")],
           [(POWER, "*ext4*")], needs_root=True, program="kvs-server"),
    Mutant("daemon-ack-before-sync", "replies leave before the sync under --sync always",
           "daemon/durability.cc",
           [("const bool safe = is_synced(reached->position_);", "const bool safe = true;"),
            ("  start_sync_if_free();\n}\n\nvoid Parking::give_up",
             "  loop_.post([this] { look(); });\n}\n\nvoid Parking::give_up")],
           [(POWER, "*ext4*")], needs_root=True, program="kvs-server"),
    Mutant("wish-is-ignored", "a write that was asked to be synced is acknowledged by the policy",
           "daemon/executor.cc",
           [("if (!committed || reply.durability != Durability::sync) continue;",
             "if (!committed || services_.settings.sync != SyncPolicy::always) continue;")],
           [(POWER, "*sync connection*")], needs_root=True, program="kvs-server"),
    Mutant("short-write-is-whole", "a write that the system took half of counts as done",
           "storage/file.cc",
           [("    bytes.remove_prefix(static_cast<std::size_t>(put));", "    return {};")],
           [(SYSCALLS, "*short write*")]),
    Mutant("eintr-is-an-error", "an interrupted write is given up", "storage/file.cc",
           [("    if (put < 0) {\n      if (errno == EINTR) continue;", "    if (put < 0) {")],
           [(SYSCALLS, "*EINTR*")], program="storage_probe"),
    Mutant("two-writers", "a second process may open a directory that is in use",
           "storage/directory.cc",
           [("while (::flock(descriptor, kind | LOCK_NB) != 0) {", "while (kind < 0) {")],
           [(ENGINE, "a second engine*")]),
]

# In this order, after the programs that a mutant names.
SUITE = [(STATES, ""), (STORAGE, ""), (ENGINE, ""), (FORMAT, "")]

-- Times are UTC epoch milliseconds. Every table but `chain` is a projection of it: each end state, each
-- registration, acceptance and trust appends one record to `chain` in the same transaction.

-- One row for each device that was ever in the inventory.
CREATE TABLE device (
  id               TEXT PRIMARY KEY,           -- the first name it had; survives a rename
  name             TEXT NOT NULL UNIQUE,       -- as the inventory calls it now
  platform         TEXT NOT NULL,
  grp              TEXT NOT NULL,
  registered_at_ms INTEGER NOT NULL,
  hostname         TEXT,                       -- as last accepted
  serials          TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(serials)),

  -- Where the device stands, so that the status of every device costs one pass over this table.
  good_run             TEXT REFERENCES run (id),    -- the newest good reading
  held_run             TEXT REFERENCES run (id),    -- the newest quarantined one that nothing good followed
  last_run             TEXT REFERENCES run (id),    -- the newest that ended
  last_success_ms      INTEGER,
  last_attempt_ms      INTEGER,                     -- start of the newest run
  consecutive_failures INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Names that a device had before.
CREATE TABLE former_name (
  name     TEXT NOT NULL,
  device   TEXT NOT NULL REFERENCES device (id),
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (name, device)
) STRICT, WITHOUT ROWID;

-- One row for each time a device was due. One end state, never rewritten: absence stays visible after a
-- catch-up. NULL while open.
CREATE TABLE slot (
  device         TEXT NOT NULL REFERENCES device (id),
  due_at_ms      INTEGER NOT NULL,             -- the scheduled instant: no restart and no clock doubles it
  deadline_ms    INTEGER NOT NULL,
  state          TEXT CHECK (state IN ('changed', 'unchanged', 'failed', 'quarantined', 'missed', 'skipped')),
  cause          TEXT,
  run_id         TEXT REFERENCES run (id),
  detected_at_ms INTEGER,
  PRIMARY KEY (device, due_at_ms)
) STRICT, WITHOUT ROWID;

-- One row for each reading of a device, appended.
CREATE TABLE run (
  n                  INTEGER PRIMARY KEY,      -- in the order of opening, whatever the clock did
  id                 TEXT NOT NULL UNIQUE,     -- also the commit's `Run-Id:` trailer
  device             TEXT NOT NULL REFERENCES device (id),
  trigger            TEXT NOT NULL CHECK (trigger IN ('schedule', 'retry', 'catch-up', 'manual', 'change', 'job')),
  slot_ms            INTEGER,
  started_at_ms      INTEGER NOT NULL,
  ended_at_ms        INTEGER,
  state              TEXT NOT NULL CHECK (state IN ('running', 'changed', 'unchanged', 'failed', 'quarantined')),
  commit_id          TEXT,
  restorable         TEXT CHECK (restorable IN ('yes', 'partial', 'no')),
  restorable_because TEXT,
  error_code         TEXT,
  error_detail       TEXT CHECK (error_detail IS NULL OR json_valid(error_detail)),
  rules              TEXT,
  mask_key           TEXT,
  artefacts          TEXT CHECK (artefacts IS NULL OR json_valid(artefacts)),   -- their names
  held               TEXT CHECK (held IS NULL OR json_valid(held)),             -- what an acceptance will need
  accepted_at_ms     INTEGER,
  accepted_by        TEXT,
  CHECK ((state = 'running') = (ended_at_ms IS NULL)),
  CHECK ((state IN ('failed', 'quarantined')) = (error_code IS NOT NULL)),
  CHECK (accepted_at_ms IS NULL OR state = 'quarantined')
) STRICT;
CREATE INDEX run_by_start ON run (started_at_ms, n);
CREATE INDEX run_by_device ON run (device, started_at_ms, n);
CREATE INDEX run_by_state ON run (state, started_at_ms, n);

-- An end state is never rewritten, not even by a mistake of ours. What may still come is an acceptance.
CREATE TRIGGER run_ends_once BEFORE UPDATE ON run WHEN OLD.state <> 'running' AND (
  NEW.state <> OLD.state OR NEW.ended_at_ms <> OLD.ended_at_ms OR NEW.error_code IS NOT OLD.error_code
  OR (OLD.accepted_at_ms IS NOT NULL) OR (OLD.state <> 'quarantined')
) BEGIN
  SELECT RAISE(ABORT, 'a run ends once');
END;

-- Where each version lies: history that follows renames and group moves without walking git.
CREATE TABLE version (
  n         INTEGER PRIMARY KEY,               -- newest last, whatever the clock did
  device    TEXT NOT NULL REFERENCES device (id),
  artefact  TEXT NOT NULL,
  commit_id TEXT NOT NULL,
  path      TEXT NOT NULL,
  run_id    TEXT NOT NULL REFERENCES run (id),
  at_ms     INTEGER NOT NULL,
  UNIQUE (device, artefact, run_id)
) STRICT;
CREATE INDEX version_by_artefact ON version (device, artefact, n);

-- Sealed copies. `commit`: a commit names it; `newest`: it repeats an unchanged artefact and gives way to
-- the next; `held`: its run is quarantined or failed.
CREATE TABLE sealed (
  n        INTEGER PRIMARY KEY,
  device   TEXT NOT NULL REFERENCES device (id),
  artefact TEXT NOT NULL,
  run_id   TEXT NOT NULL REFERENCES run (id),
  digest   TEXT NOT NULL,
  at_ms    INTEGER NOT NULL,
  kind     TEXT NOT NULL CHECK (kind IN ('commit', 'newest', 'held')),
  UNIQUE (device, artefact, run_id)
) STRICT;
CREATE INDEX sealed_by_artefact ON sealed (device, artefact, n);
CREATE INDEX sealed_by_digest ON sealed (digest);

-- hash = SHA-256(previous hash || record as UTF-8); before the first record: 32 zero bytes.
CREATE TABLE chain (
  n        INTEGER PRIMARY KEY,
  record   TEXT NOT NULL CHECK (json_valid(record)),
  hash     BLOB NOT NULL CHECK (length(hash) = 32),
  at_ms    INTEGER NOT NULL AS (record ->> '$.at_ms'),
  category TEXT NOT NULL AS (record ->> '$.category')
) STRICT;

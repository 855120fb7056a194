-- What the device told of itself in its newest good reading; NULL before this was kept.
ALTER TABLE device ADD COLUMN facts TEXT CHECK (facts IS NULL OR json_valid(facts));

-- By serial number: what that unit called itself when it was last trusted. Each unit of a group may have its own
-- name. Until now there was one name, and the first serial number is that of the unit which was read.
ALTER TABLE device ADD COLUMN hostnames TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(hostnames));
UPDATE device SET hostnames = json_object(serials ->> '$[0]', hostname)
  WHERE hostname IS NOT NULL AND json_array_length(serials) > 0;

-- One row for each time an archive was due and asked for. `digest` is that of the sealed file; no digest of clear
-- text is kept anywhere.
CREATE TABLE archive (
  n               INTEGER PRIMARY KEY,           -- newest last, whatever the clock did
  device          TEXT NOT NULL REFERENCES device (id),
  name            TEXT NOT NULL,
  run_id          TEXT NOT NULL REFERENCES run (id),
  attempted_at_ms INTEGER NOT NULL,
  digest          TEXT,
  bytes           INTEGER,                       -- of the sealed file
  error_code      TEXT,
  error_detail    TEXT CHECK (error_detail IS NULL OR json_valid(error_detail)),
  UNIQUE (device, name, run_id),
  CHECK ((digest IS NULL) = (error_code IS NOT NULL)),
  CHECK ((digest IS NULL) = (bytes IS NULL)),
  CHECK ((error_code IS NULL) = (error_detail IS NULL))
) STRICT;
CREATE INDEX archive_by_name ON archive (device, name, n);
CREATE INDEX archive_by_digest ON archive (digest) WHERE digest IS NOT NULL;

-- Sealed files that no row names any more and that may still be there. A row goes first, with an entry here, then the
-- file, then the entry: so no row ever promises a file that is gone, and no crash leaves a file that nobody removes.
CREATE TABLE unreferenced (
  digest TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE INDEX sealed_by_age ON sealed (at_ms);

-- Since when a device is read no more, and its name is free for another one; NULL: in use.
ALTER TABLE device ADD COLUMN retired_at_ms INTEGER;

-- The platform of the newest good reading, where another device took the place since; NULL: the device's own.
ALTER TABLE device ADD COLUMN good_platform TEXT;

-- Where main has the artefact now, of its newest version alone. NULL: still at `path`; empty: nowhere.
ALTER TABLE version ADD COLUMN lies_at TEXT;

-- Commits that no run made, and that the ledger has taken in: moves, retirements, and what others put on main.
CREATE TABLE commit_taken_in (
  id    TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

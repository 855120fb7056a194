-- Nothing was written to it before there was a scheduler.
DROP TABLE slot;

-- One row for each time a device was due. One end state, never rewritten: absence stays visible after a
-- catch-up. `state` is NULL while open. A row "and n more" stands for `count` slots from `due_at_ms` to
-- `last_ms`; every other one for itself.
CREATE TABLE slot (
  device         TEXT NOT NULL REFERENCES device (id),
  due_at_ms      INTEGER NOT NULL,             -- the scheduled instant: no restart and no clock doubles it
  last_ms        INTEGER NOT NULL,
  count          INTEGER NOT NULL DEFAULT 1,
  deadline_ms    INTEGER NOT NULL,             -- as promised when it fell due
  state          TEXT CHECK (state IN ('changed', 'unchanged', 'failed', 'quarantined', 'missed', 'skipped')),
  cause          TEXT,                         -- of an absence; of a failure, its code
  run_id         TEXT REFERENCES run (id),     -- the run that served it, or failed to
  detected_at_ms INTEGER,
  -- Whether it keeps a device overdue until a success follows.
  owed           INTEGER NOT NULL AS (
    state IS NULL OR state IN ('failed', 'quarantined', 'missed') OR ifnull(cause, '') = 'superseded'
  ),
  PRIMARY KEY (device, due_at_ms),
  CHECK ((state IS NULL) = (detected_at_ms IS NULL)),
  CHECK ((run_id IS NULL) = (state IS NULL OR state IN ('missed', 'skipped'))),
  CHECK ((cause IS NULL) = (state IS NULL OR state IN ('changed', 'unchanged'))),
  CHECK (last_ms >= due_at_ms AND count >= 1 AND (count > 1 OR last_ms = due_at_ms))
) STRICT, WITHOUT ROWID;
CREATE INDEX slot_open ON slot (device, due_at_ms) WHERE state IS NULL;
CREATE INDEX slot_owed ON slot (device, due_at_ms) WHERE owed;
CREATE INDEX slot_many ON slot (device, due_at_ms) WHERE count > 1;
CREATE INDEX slot_absent ON slot (deadline_ms) WHERE state IN ('missed', 'skipped');
-- One run serves at most one slot.
CREATE UNIQUE INDEX slot_by_run ON slot (run_id) WHERE run_id IS NOT NULL;

CREATE TRIGGER slot_ends_once BEFORE UPDATE ON slot WHEN OLD.state IS NOT NULL BEGIN
  SELECT RAISE(ABORT, 'a slot ends once');
END;

CREATE INDEX run_by_end ON run (device, ended_at_ms);
CREATE INDEX run_by_slot ON run (device, slot_ms) WHERE slot_ms IS NOT NULL;

-- What the schedule of a device was when it was kept last, so that an edit during a downtime invents no slot.
ALTER TABLE device ADD COLUMN plan TEXT CHECK (plan IS NULL OR json_valid(plan));   -- NULL: not in the inventory
ALTER TABLE device ADD COLUMN plan_since_ms INTEGER;                                -- NULL: since registration

-- A number that grows with every change of what the schedule has to know of a device: the loop reads
-- again what is new, and not ten thousand devices every second.
ALTER TABLE device ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX device_by_changes ON device (changes);
CREATE TRIGGER device_new AFTER INSERT ON device BEGIN
  UPDATE device SET changes = (SELECT max(changes) FROM device) + 1 WHERE id = NEW.id;
END;
CREATE TRIGGER device_changes
AFTER UPDATE OF name, serials, last_run, last_success_ms, last_attempt_ms, plan, plan_since_ms ON device BEGIN
  UPDATE device SET changes = (SELECT max(changes) FROM device) + 1 WHERE id = NEW.id;
END;
CREATE TRIGGER slot_new AFTER INSERT ON slot BEGIN
  UPDATE device SET changes = (SELECT max(changes) FROM device) + 1 WHERE id = NEW.device;
END;
CREATE TRIGGER slot_changes AFTER UPDATE ON slot BEGIN
  UPDATE device SET changes = (SELECT max(changes) FROM device) + 1 WHERE id = NEW.device;
END;

-- How often things happened, ever: counters that begin here after a restart, and that no retention shrinks.
CREATE TABLE total (
  kind  TEXT NOT NULL CHECK (kind IN ('run', 'failure', 'missed')),
  what  TEXT NOT NULL,                         -- the platform; of `missed`, the cause
  how   TEXT NOT NULL,                         -- the trigger; of `failure`, the code; of `missed`, nothing
  count INTEGER NOT NULL,
  PRIMARY KEY (kind, what, how)
) STRICT, WITHOUT ROWID;
INSERT INTO total (kind, what, how, count)
  SELECT 'run', platform, trigger, count(*) FROM run JOIN device ON device.id = run.device
  WHERE state <> 'running' GROUP BY platform, trigger;
INSERT INTO total (kind, what, how, count)
  SELECT 'failure', platform, error_code, count(*) FROM run JOIN device ON device.id = run.device
  WHERE state = 'failed' GROUP BY platform, error_code;
CREATE TRIGGER run_total AFTER UPDATE OF state ON run WHEN OLD.state = 'running' AND NEW.state <> 'running' BEGIN
  INSERT INTO total (kind, what, how, count)
    SELECT 'run', platform, NEW.trigger, 1 FROM device WHERE id = NEW.device
    ON CONFLICT DO UPDATE SET count = count + 1;
  INSERT INTO total (kind, what, how, count)
    SELECT 'failure', platform, NEW.error_code, 1 FROM device WHERE id = NEW.device AND NEW.state = 'failed'
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER missed_total AFTER UPDATE OF state ON slot WHEN NEW.state = 'missed' BEGIN
  INSERT INTO total (kind, what, how, count) VALUES ('missed', NEW.cause, '', NEW.count)
    ON CONFLICT DO UPDATE SET count = count + NEW.count;
END;
CREATE TRIGGER missed_at_once_total AFTER INSERT ON slot WHEN NEW.state = 'missed' BEGIN
  INSERT INTO total (kind, what, how, count) VALUES ('missed', NEW.cause, '', NEW.count)
    ON CONFLICT DO UPDATE SET count = count + NEW.count;
END;

-- The hold-back of each credential that was ever refused. No value of a secret, and no digest without a key.
CREATE TABLE credential (
  name           TEXT PRIMARY KEY,
  rejected_by    TEXT NOT NULL CHECK (json_valid(rejected_by)),  -- devices, since its last success
  refused_to     TEXT NOT NULL CHECK (json_valid(refused_to)),   -- devices that a success released not
  since_ms       INTEGER NOT NULL,                               -- of the oldest rejection that counts
  held           INTEGER NOT NULL CHECK (held IN (0, 1)),
  digests        TEXT NOT NULL CHECK (json_valid(digests)),      -- of the values that were rejected
  probed_slot_ms INTEGER,
  probed_at_ms   INTEGER
) STRICT, WITHOUT ROWID;

-- The credential that each device accepted last; no row where it rejected it since.
CREATE TABLE accepted_login (
  device     TEXT PRIMARY KEY,                 -- its name
  credential TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is neither the end of a run nor that of a slot is found without reading millions of records. A question has to
-- repeat the condition for the index to answer it.
CREATE INDEX chain_by_category ON chain (category, n) WHERE category NOT IN ('run', 'slot');

-- Whether an archive still needs a run that is to be removed.
CREATE INDEX archive_by_run ON archive (run_id);

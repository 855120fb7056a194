-- How large the masked text of a version is; NULL for those written before this was kept, and for accepted ones.
ALTER TABLE version ADD COLUMN bytes INTEGER;

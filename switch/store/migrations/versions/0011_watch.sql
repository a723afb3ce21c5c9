-- What watches for illegal discounting: what it found, by which payments, and whom it stops meanwhile.

CREATE TABLE watch_flag (
    programme_no SMALLINT NOT NULL,
    flag_no INTEGER NOT NULL,
    detector TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_sha256 TEXT NOT NULL,
    subject SMALLINT NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    merchant_no INTEGER NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    figures TEXT NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    noted_at TIMESTAMPTZ NOT NULL,
    judged_by TEXT,
    judged_at TIMESTAMPTZ,
    note TEXT,
    PRIMARY KEY (programme_no, flag_no),
    CONSTRAINT watch_flag_state CHECK (state IN ('open', 'cleared', 'confirmed')),
    CONSTRAINT watch_flag_subject CHECK ((subject = 1 AND wallet_id > 0) OR (subject = 2 AND merchant_no > 0))
);

CREATE INDEX watch_flag_subject_at ON watch_flag (programme_no, detector, wallet_id, merchant_no, last_at);

-- The payments that speak for a flag, by their keys.
CREATE TABLE watch_evidence (
    programme_no SMALLINT NOT NULL,
    flag_no INTEGER NOT NULL,
    bucket SMALLINT NOT NULL,
    local_day DATE NOT NULL,
    local_time INTEGER NOT NULL,
    terminal_id TEXT NOT NULL,
    stan INTEGER NOT NULL,
    kind SMALLINT NOT NULL,
    PRIMARY KEY (programme_no, flag_no, bucket, local_day, local_time, terminal_id, stan, kind)
);

-- Only rules that say so stop anybody; a flag that is cleared lifts its stop.
CREATE TABLE watch_stop (
    programme_no SMALLINT NOT NULL,
    flag_no INTEGER NOT NULL,
    subject SMALLINT NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    merchant_no INTEGER NOT NULL,
    until_day INTEGER NOT NULL,
    lifted_at TIMESTAMPTZ,
    PRIMARY KEY (programme_no, flag_no)
);

CREATE INDEX watch_stop_wallet ON watch_stop (bucket, wallet_id);

-- How far a programme has been watched: every payment of business dates up to this one has been seen.
CREATE TABLE watch_mark (
    programme_no SMALLINT NOT NULL,
    settled_through DATE NOT NULL,
    PRIMARY KEY (programme_no)
);

-- The last day (yyyymmdd) on which watching stops this wallet; read with the wallet, at no cost.
ALTER TABLE wallet ADD COLUMN stopped_until INTEGER DEFAULT '0' NOT NULL;

GRANT SELECT, INSERT, UPDATE ON watch_flag, watch_stop, watch_mark TO dure_app;
GRANT SELECT, INSERT ON watch_evidence TO dure_app;

-- Corrections, shadow policies.

CREATE TABLE correction (
    correction_no INTEGER NOT NULL,
    programme_no SMALLINT NOT NULL,
    policy_no INTEGER NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    only_group TEXT DEFAULT '' NOT NULL,
    only_category TEXT DEFAULT '' NOT NULL,
    forgive_below BIGINT DEFAULT '0' NOT NULL,
    owe BOOLEAN NOT NULL,
    payments INTEGER NOT NULL,
    members INTEGER NOT NULL,
    over BIGINT NOT NULL,
    under BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    approved_by TEXT,
    approved_at TIMESTAMP WITH TIME ZONE,
    posted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (correction_no),
    CONSTRAINT correction_two_people CHECK (lower(approved_by) <> lower(proposed_by)),
    CONSTRAINT correction_approved_first CHECK (posted_at IS NULL OR approved_by IS NOT NULL),
    CONSTRAINT correction_approved CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);

CREATE TABLE correction_line (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    correction_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    funder_no SMALLINT NOT NULL,
    budget_no SMALLINT NOT NULL,
    local_day DATE NOT NULL,
    month INTEGER NOT NULL,
    stood BIGINT NOT NULL,
    due BIGINT NOT NULL,
    booked BIGINT DEFAULT '0' NOT NULL,
    waived BIGINT DEFAULT '0' NOT NULL,
    state SMALLINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (bucket, wallet_id, correction_no, seq, funder_no, budget_no),
    CONSTRAINT correction_line_differs CHECK (stood <> due AND due >= 0)
);

-- What was proposed stays as it was; only what became of it is noted.
GRANT SELECT, INSERT ON correction, correction_line TO dure_app;
GRANT UPDATE (approved_by, approved_at, posted_at) ON correction TO dure_app;
GRANT UPDATE (booked, waived, state) ON correction_line TO dure_app;

CREATE TABLE shadow (
    shadow_no INTEGER NOT NULL,
    programme_no SMALLINT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    started_by TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    stopped_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (shadow_no),
    UNIQUE (programme_no, name)
);

-- How far a wallet's postings have been judged: gapless per wallet, so that none is missed whoever commits first.
CREATE TABLE shadow_mark (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    shadow_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (bucket, wallet_id, shadow_no)
);

-- Only payments that the shadow would have answered or rated otherwise.
CREATE TABLE shadow_result (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    shadow_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    local_day DATE NOT NULL,
    local_time INTEGER NOT NULL,
    kind SMALLINT NOT NULL,
    amount BIGINT NOT NULL,
    live_reason SMALLINT NOT NULL,
    reason SMALLINT NOT NULL,
    live_approved BIGINT NOT NULL,
    approved BIGINT NOT NULL,
    live_cashback BIGINT NOT NULL,
    cashback BIGINT NOT NULL,
    grants TEXT NOT NULL,
    PRIMARY KEY (bucket, wallet_id, shadow_no, seq)
);

CREATE TABLE shadow_day (
    shadow_no INTEGER NOT NULL,
    business_date DATE NOT NULL,
    payments BIGINT NOT NULL,
    live_declined BIGINT NOT NULL,
    declined BIGINT NOT NULL,
    live_cashback BIGINT NOT NULL,
    cashback BIGINT NOT NULL,
    PRIMARY KEY (shadow_no, business_date)
);

CREATE TABLE shadow_pool (
    shadow_no INTEGER NOT NULL,
    code TEXT NOT NULL,
    funder TEXT NOT NULL,
    month INTEGER NOT NULL,
    taken BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    PRIMARY KEY (shadow_no, code, funder, month)
);

GRANT SELECT, INSERT, UPDATE ON shadow, shadow_mark, shadow_day, shadow_pool TO dure_app;
GRANT SELECT, INSERT ON shadow_result TO dure_app;

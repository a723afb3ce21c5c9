-- Donation cases, and prize draws.

CREATE TABLE donation_case (
    programme_no SMALLINT NOT NULL,
    code TEXT NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    target BIGINT NOT NULL,
    given BIGINT DEFAULT '0' NOT NULL,
    deadline DATE NOT NULL,
    merchant_no INTEGER NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    opened_by TEXT NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL,
    closed_by TEXT,
    closed_at TIMESTAMPTZ,
    PRIMARY KEY (programme_no, code),
    CONSTRAINT donation_case_given CHECK (given >= 0 AND given <= target AND target > 0),
    CONSTRAINT donation_case_state CHECK (state IN ('open', 'closed'))
) WITH (fillfactor = 20);

CREATE TABLE gift (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    programme_no SMALLINT NOT NULL,
    case_code TEXT NOT NULL,
    business_date DATE NOT NULL,
    points BIGINT DEFAULT '0' NOT NULL,
    charged BIGINT DEFAULT '0' NOT NULL,
    returned BOOLEAN DEFAULT 'false' NOT NULL,
    PRIMARY KEY (bucket, wallet_id, seq),
    CONSTRAINT gift_won CHECK (points >= 0 AND charged >= 0 AND points + charged > 0)
);

CREATE INDEX gift_day ON gift (programme_no, business_date);

-- A number once given stays; a gift that is taken back later keeps it as a cancelled one.
CREATE TABLE donation_receipt (
    programme_no SMALLINT NOT NULL,
    year SMALLINT NOT NULL,
    number INTEGER NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (programme_no, year, number),
    UNIQUE (bucket, wallet_id, seq)
);

CREATE TABLE prize_draw (
    draw_no INTEGER NOT NULL,
    programme_no SMALLINT NOT NULL,
    name TEXT NOT NULL,
    starts DATE NOT NULL,
    ends DATE NOT NULL,
    prizes INTEGER NOT NULL,
    per_won BIGINT DEFAULT '0' NOT NULL,
    min_won BIGINT DEFAULT '0' NOT NULL,
    once BOOLEAN DEFAULT 'true' NOT NULL,
    commitment TEXT NOT NULL,
    announced_by TEXT NOT NULL,
    announced_at TIMESTAMPTZ NOT NULL,
    member_key BYTEA,
    tickets BIGINT DEFAULT '0' NOT NULL,
    list_sha256 TEXT,
    closed_by TEXT,
    closed_at TIMESTAMPTZ,
    seed TEXT,
    run_by TEXT,
    run_at TIMESTAMPTZ,
    PRIMARY KEY (draw_no),
    UNIQUE (programme_no, name),
    CONSTRAINT prize_draw_rules CHECK (ends >= starts AND prizes > 0 AND per_won >= 0 AND min_won >= 0)
);

-- The ticket list as it was closed: one row a payment, its tickets without gap behind those of the row before.
CREATE TABLE draw_ticket (
    draw_no INTEGER NOT NULL,
    first_ticket BIGINT NOT NULL,
    tickets INTEGER NOT NULL,
    local_day DATE NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (draw_no, first_ticket)
);

CREATE TABLE draw_result (
    draw_no INTEGER NOT NULL,
    place INTEGER NOT NULL,
    ticket BIGINT NOT NULL,
    cancelled BOOLEAN NOT NULL,
    prize INTEGER NOT NULL,
    member TEXT NOT NULL,
    card TEXT NOT NULL,
    PRIMARY KEY (draw_no, place)
);

-- A repeated top-up is answered from the stored one: its day says in which partition that is.
ALTER TABLE topup_reference ADD COLUMN local_day DATE NOT NULL;

GRANT SELECT, INSERT, UPDATE ON donation_case, gift, prize_draw TO dure_app;
GRANT SELECT, INSERT ON donation_receipt, draw_ticket, draw_result TO dure_app;

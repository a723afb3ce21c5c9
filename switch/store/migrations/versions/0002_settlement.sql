-- Settlement: one run per programme, business date and cycle; everything else hangs on its key.

CREATE TABLE settlement_run (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    cycle SMALLINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    calendar TEXT NOT NULL,
    PRIMARY KEY (programme_no, business_date, cycle)
);

CREATE TABLE settlement_step (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    cycle SMALLINT NOT NULL,
    step TEXT NOT NULL,
    state TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    inputs_sha256 TEXT DEFAULT '' NOT NULL,
    booked_on DATE,
    outcome TEXT DEFAULT '{}' NOT NULL,
    PRIMARY KEY (programme_no, business_date, cycle, step),
    FOREIGN KEY (programme_no, business_date, cycle) REFERENCES settlement_run
);

CREATE TABLE merchant_net (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    cycle SMALLINT NOT NULL,
    merchant_no INTEGER NOT NULL,
    sales BIGINT NOT NULL,
    refunds BIGINT NOT NULL,
    fee_rate_ppm INTEGER NOT NULL,
    fee BIGINT NOT NULL,
    carried_in BIGINT NOT NULL,
    paid BIGINT NOT NULL,
    carried_out BIGINT NOT NULL,
    PRIMARY KEY (programme_no, business_date, cycle, merchant_no),
    FOREIGN KEY (programme_no, business_date, cycle) REFERENCES settlement_run,
    CONSTRAINT merchant_net_adds_up CHECK (sales - refunds - fee + carried_in = paid + carried_out),
    CONSTRAINT merchant_net_paid CHECK (paid >= 0 AND (paid = 0 OR carried_out = 0))
);

-- Each attempt has an identity of its own at the bank: a rejected payout is tried again under a new one.
CREATE TABLE payout (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    cycle SMALLINT NOT NULL,
    merchant_no INTEGER NOT NULL,
    attempt SMALLINT NOT NULL,
    pay_on DATE NOT NULL,
    won BIGINT NOT NULL,
    end_to_end_id TEXT NOT NULL,
    bank_code TEXT NOT NULL,
    account_no TEXT NOT NULL,
    account_holder TEXT NOT NULL,
    PRIMARY KEY (programme_no, business_date, cycle, merchant_no, attempt),
    FOREIGN KEY (programme_no, business_date, cycle) REFERENCES settlement_run,
    UNIQUE (end_to_end_id),
    CONSTRAINT payout_won CHECK (won > 0)
);

-- What has been computed and what has been paid is never rewritten; only a step's state moves.
GRANT SELECT, INSERT ON settlement_run, settlement_step, merchant_net, payout TO dure_app;
GRANT UPDATE ON settlement_step TO dure_app;

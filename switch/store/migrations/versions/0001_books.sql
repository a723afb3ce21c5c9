-- The books: reference tables, wallets and lots, payments and entries.

CREATE TABLE business_day (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    closed_at TIMESTAMPTZ NOT NULL,
    payments BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    won BIGINT NOT NULL,
    previous_sha256 TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (programme_no, business_date)
);

CREATE TABLE card (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    card_no SMALLINT NOT NULL,
    pan_hmac BYTEA NOT NULL,
    pan_box BYTEA NOT NULL,
    key_version SMALLINT NOT NULL,
    masked TEXT NOT NULL,
    expiry INTEGER NOT NULL,
    state TEXT NOT NULL,
    pvki TEXT DEFAULT '' NOT NULL,
    pvv TEXT DEFAULT '' NOT NULL,
    pin_tries SMALLINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (bucket, wallet_id, card_no)
);

CREATE TABLE card_index (
    pan_hmac BYTEA NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    card_no SMALLINT NOT NULL,
    PRIMARY KEY (pan_hmac)
);

CREATE TABLE control (
    id SMALLINT NOT NULL,
    reference_epoch BIGINT NOT NULL,
    simulation BOOLEAN NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT control_one_row CHECK (id = 1)
);

CREATE TABLE credit_mark (
    programme_no SMALLINT NOT NULL,
    bucket SMALLINT NOT NULL,
    credited_through DATE NOT NULL,
    PRIMARY KEY (programme_no, bucket)
);

CREATE TABLE entry (
    bucket SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    wallet_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    line SMALLINT NOT NULL,
    programme_no SMALLINT NOT NULL,
    source SMALLINT NOT NULL,
    debit SMALLINT NOT NULL,
    credit SMALLINT NOT NULL,
    won BIGINT NOT NULL,
    lot_no INTEGER NOT NULL,
    merchant_no INTEGER NOT NULL,
    funder_no SMALLINT NOT NULL,
    PRIMARY KEY (bucket, business_date, wallet_id, seq, line),
    CONSTRAINT entry_balanced CHECK (won > 0 AND debit <> credit)
)
 PARTITION BY RANGE (business_date);

CREATE TABLE funder (
    funder_no SMALLINT NOT NULL,
    programme_no SMALLINT NOT NULL,
    funder_id TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (funder_no),
    UNIQUE (programme_no, funder_id)
);

CREATE TABLE funding (
    programme_no SMALLINT NOT NULL,
    reference TEXT NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    lot_no INTEGER NOT NULL,
    won BIGINT NOT NULL,
    PRIMARY KEY (programme_no, reference)
);

CREATE TABLE house_entry (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    posting TEXT NOT NULL,
    line INTEGER NOT NULL,
    debit SMALLINT NOT NULL,
    credit SMALLINT NOT NULL,
    won BIGINT NOT NULL,
    merchant_no INTEGER NOT NULL,
    funder_no SMALLINT NOT NULL,
    PRIMARY KEY (programme_no, business_date, posting, line),
    CONSTRAINT house_entry_balanced CHECK (won > 0 AND debit <> credit)
);

CREATE TABLE lot (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    lot_no INTEGER NOT NULL,
    kind SMALLINT NOT NULL,
    funder_no SMALLINT DEFAULT '0' NOT NULL,
    balance BIGINT NOT NULL,
    granted BIGINT NOT NULL,
    opened INTEGER NOT NULL,
    expires INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (bucket, wallet_id, lot_no),
    CONSTRAINT lot_balance CHECK (balance >= 0)
);

CREATE TABLE member (
    programme_no SMALLINT NOT NULL,
    member_id TEXT NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    PRIMARY KEY (programme_no, member_id),
    UNIQUE (wallet_id)
);

CREATE TABLE merchant (
    merchant_no INTEGER NOT NULL,
    merchant_id TEXT NOT NULL,
    programme_no SMALLINT NOT NULL,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    region TEXT NOT NULL,
    head_region TEXT NOT NULL,
    size TEXT NOT NULL,
    channels TEXT[] NOT NULL,
    opened DATE NOT NULL,
    closed DATE,
    business_no TEXT NOT NULL,
    bank_code TEXT NOT NULL,
    account_no TEXT NOT NULL,
    account_holder TEXT NOT NULL,
    payout_days SMALLINT,
    PRIMARY KEY (merchant_no),
    UNIQUE (merchant_id)
);

CREATE TABLE merchant_group (
    merchant_no INTEGER NOT NULL,
    group_code TEXT NOT NULL,
    valid_from DATE NOT NULL,
    valid_to DATE,
    PRIMARY KEY (merchant_no, group_code, valid_from)
);

CREATE TABLE merchant_sales (
    merchant_no INTEGER NOT NULL,
    valid_from DATE NOT NULL,
    annual_sales BIGINT NOT NULL,
    PRIMARY KEY (merchant_no, valid_from)
);

CREATE TABLE payment (
    bucket SMALLINT NOT NULL,
    local_day DATE NOT NULL,
    local_time INTEGER NOT NULL,
    terminal_id TEXT NOT NULL,
    stan INTEGER NOT NULL,
    kind SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    card_no SMALLINT NOT NULL,
    merchant_no INTEGER NOT NULL,
    programme_no SMALLINT NOT NULL,
    policy_no INTEGER NOT NULL,
    business_date DATE NOT NULL,
    transmission TEXT NOT NULL,
    content BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    approved BIGINT NOT NULL,
    outcome SMALLINT NOT NULL,
    reason SMALLINT NOT NULL,
    approval TEXT NOT NULL,
    rrn TEXT NOT NULL,
    channel TEXT NOT NULL,
    basis BIGINT NOT NULL,
    usage_month INTEGER NOT NULL,
    usage_before BIGINT NOT NULL,
    cashback BIGINT NOT NULL,
    ledger_after BIGINT NOT NULL,
    available_after BIGINT NOT NULL,
    returned BIGINT NOT NULL,
    original_seq INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (bucket, local_day, local_time, terminal_id, stan, kind),
    CONSTRAINT payment_returned CHECK (returned >= 0 AND returned <= approved)
)
 PARTITION BY RANGE (local_day);

CREATE INDEX payment_business_date ON payment USING brin (business_date);

CREATE INDEX payment_wallet ON payment (bucket, wallet_id, seq);

CREATE TABLE policy (
    policy_no INTEGER NOT NULL,
    programme_no SMALLINT NOT NULL,
    version TEXT NOT NULL,
    effective_from TIMESTAMPTZ NOT NULL,
    document TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (policy_no),
    UNIQUE (programme_no, version)
);

CREATE TABLE programme (
    programme_no SMALLINT NOT NULL,
    programme_id TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL,
    closed_through DATE,
    PRIMARY KEY (programme_no),
    UNIQUE (programme_id)
);

CREATE TABLE terminal (
    terminal_id TEXT NOT NULL,
    merchant_no INTEGER NOT NULL,
    state TEXT NOT NULL,
    tmk TEXT NOT NULL,
    tmk_kcv TEXT NOT NULL,
    tpk TEXT,
    tak TEXT,
    keys_at TIMESTAMPTZ,
    signed_on_at TIMESTAMPTZ,
    PRIMARY KEY (terminal_id)
);

CREATE TABLE tombstone (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    terminal_id TEXT NOT NULL,
    stan INTEGER NOT NULL,
    transmission TEXT NOT NULL,
    noted_on DATE NOT NULL,
    PRIMARY KEY (bucket, wallet_id, terminal_id, stan, transmission)
);

CREATE TABLE usage_month (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    month INTEGER NOT NULL,
    spent BIGINT DEFAULT '0' NOT NULL,
    basis BIGINT DEFAULT '0' NOT NULL,
    topup BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (bucket, wallet_id, month)
);

CREATE TABLE wallet (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    programme_no SMALLINT NOT NULL,
    state SMALLINT DEFAULT '1' NOT NULL,
    points_on BOOLEAN NOT NULL,
    seq INTEGER DEFAULT '0' NOT NULL,
    lot_seq INTEGER DEFAULT '0' NOT NULL,
    receivable BIGINT DEFAULT '0' NOT NULL,
    month INTEGER DEFAULT '0' NOT NULL,
    month_spent BIGINT DEFAULT '0' NOT NULL,
    month_basis BIGINT DEFAULT '0' NOT NULL,
    month_topup BIGINT DEFAULT '0' NOT NULL,
    day INTEGER DEFAULT '0' NOT NULL,
    day_spent BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (bucket, wallet_id),
    CONSTRAINT wallet_receivable CHECK (receivable >= 0)
);

-- Rows that live by UPDATE keep room on their page, so that an update stays on it and touches no index.
ALTER TABLE wallet SET (fillfactor = 70);
ALTER TABLE lot SET (fillfactor = 70);
ALTER TABLE card SET (fillfactor = 80);

-- One partition a day, made on first need by whoever books, under the owner's rights.
-- ATTACH, not PARTITION OF: it lets running payments go on.
CREATE FUNCTION dure_ensure_day(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    parent text;
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('dure_ensure_day'));
    FOREACH parent IN ARRAY ARRAY['payment', 'entry'] LOOP
        child := parent || '_' || to_char(wanted, 'YYYYMMDD');
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent, child, wanted, wanted + 1);
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION dure_ensure_day(date) FROM PUBLIC;

-- The programs book as dure_app: it can add entries, and never change or remove one.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dure_app') THEN CREATE ROLE dure_app LOGIN; END IF;
END $$;
GRANT EXECUTE ON FUNCTION dure_ensure_day(date) TO dure_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO dure_app;
REVOKE UPDATE ON entry, house_entry, business_day, card_index, member, tombstone, funding FROM dure_app;
GRANT DELETE ON merchant_sales, merchant_group TO dure_app;

-- Operators' acts on wallets: issue of campaigns, gifts, refunds of charged money; budgets adjusted; expiry.

CREATE TABLE act (
    programme_no SMALLINT NOT NULL,
    reference TEXT NOT NULL,
    leg SMALLINT DEFAULT '0' NOT NULL,
    kind SMALLINT NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    lot_no INTEGER DEFAULT '0' NOT NULL,
    won BIGINT NOT NULL,
    campaign_no INTEGER DEFAULT '0' NOT NULL,
    budget_month INTEGER DEFAULT '0' NOT NULL,
    usage_month INTEGER DEFAULT '0' NOT NULL,
    topup BIGINT DEFAULT '0' NOT NULL,
    note TEXT NOT NULL,
    actor TEXT NOT NULL,
    booked_on DATE NOT NULL,
    noted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (programme_no, reference, leg)
);
CREATE INDEX act_wallet ON act (bucket, wallet_id, seq);
CREATE INDEX act_campaign ON act (campaign_no, wallet_id);

CREATE TABLE budget_change (
    programme_no SMALLINT NOT NULL,
    reference TEXT NOT NULL,
    budget_no SMALLINT NOT NULL,
    month INTEGER NOT NULL,
    won BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    note TEXT NOT NULL,
    actor TEXT NOT NULL,
    noted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (programme_no, reference)
);

-- What a night has taken from expired lots, and through which date that is done.
CREATE TABLE expiry (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    kind SMALLINT NOT NULL,
    funder_no SMALLINT NOT NULL,
    campaign_no INTEGER DEFAULT '0' NOT NULL,
    lots BIGINT NOT NULL,
    won BIGINT NOT NULL,
    PRIMARY KEY (programme_no, business_date, kind, funder_no, campaign_no)
);

CREATE TABLE expiry_mark (
    programme_no SMALLINT NOT NULL,
    expired_through DATE NOT NULL,
    PRIMARY KEY (programme_no)
);

GRANT SELECT, INSERT ON act, budget_change TO dure_app;
GRANT SELECT, INSERT, UPDATE ON expiry, expiry_mark TO dure_app;

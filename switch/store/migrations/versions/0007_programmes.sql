-- Campaigns, budgets, and what a wallet must know of them.

ALTER TABLE wallet ADD COLUMN tags INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE wallet ADD COLUMN holder SMALLINT DEFAULT '1' NOT NULL;
ALTER TABLE lot ADD COLUMN campaign_no INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE entry ADD COLUMN budget_no SMALLINT DEFAULT '0' NOT NULL;

CREATE TABLE campaign (
    campaign_no INTEGER NOT NULL,
    programme_no SMALLINT NOT NULL,
    code TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (campaign_no),
    UNIQUE (programme_no, code)
);

CREATE TABLE budget (
    budget_no SMALLINT NOT NULL,
    programme_no SMALLINT NOT NULL,
    code TEXT NOT NULL,
    funder_no SMALLINT NOT NULL,
    PRIMARY KEY (budget_no),
    UNIQUE (programme_no, code, funder_no)
);

CREATE TABLE budget_month (
    budget_no SMALLINT NOT NULL,
    month INTEGER NOT NULL,
    amount BIGINT NOT NULL,
    free BIGINT NOT NULL,
    PRIMARY KEY (budget_no, month),
    CONSTRAINT budget_month_free CHECK (free >= 0)
) WITH (fillfactor = 20);

-- One row a lane: only that lane's commits touch it, until another lane finds the rest used up.
CREATE TABLE budget_slot (
    budget_no SMALLINT NOT NULL,
    month INTEGER NOT NULL,
    slot SMALLINT NOT NULL,
    won BIGINT DEFAULT '0' NOT NULL,
    granted BIGINT DEFAULT '0' NOT NULL,
    returned BIGINT DEFAULT '0' NOT NULL,
    retired BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (budget_no, month, slot),
    CONSTRAINT budget_slot_won CHECK (won >= 0)
) WITH (fillfactor = 20);

CREATE TABLE campaign_use (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    campaign_no INTEGER NOT NULL,
    won BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (bucket, wallet_id, campaign_no),
    CONSTRAINT campaign_use_won CHECK (won >= 0)
);

CREATE TABLE topup_reference (
    programme_no SMALLINT NOT NULL,
    reference TEXT NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (programme_no, reference)
);

GRANT SELECT, INSERT, UPDATE ON campaign, budget, budget_month, budget_slot, campaign_use TO dure_app;
GRANT SELECT, INSERT, DELETE ON topup_reference TO dure_app;

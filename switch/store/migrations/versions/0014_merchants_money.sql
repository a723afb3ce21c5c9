-- What operators decide about merchants' money, and the lines that it adds to a net.

ALTER TABLE merchant_net
    ADD COLUMN vat BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN rebate BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN rebate_vat BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN subsidy BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN reserved BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN released BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN rounding BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN carried_since DATE,
    ADD COLUMN held TEXT DEFAULT '' NOT NULL,
    ADD COLUMN reserve_ppm INTEGER DEFAULT '0' NOT NULL,
    ADD COLUMN reserve_max BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN reserve BIGINT DEFAULT '0' NOT NULL,
    DROP CONSTRAINT merchant_net_adds_up,
    ADD CONSTRAINT merchant_net_adds_up CHECK (
        sales - refunds - fee - vat + rebate + rebate_vat + subsidy - reserved + released - rounding + carried_in
        = paid + carried_out),
    ADD CONSTRAINT merchant_net_kept CHECK (reserved >= 0 AND released >= 0 AND reserve >= 0 AND rounding >= 0);
CREATE INDEX payout_pending ON payout (programme_no, state) WHERE state <> 'booked';
UPDATE merchant_net SET carried_since = business_date WHERE carried_out <> 0;

CREATE TABLE merchant_hold (
    programme_no SMALLINT NOT NULL,
    hold_no INTEGER NOT NULL,
    merchant_no INTEGER NOT NULL,
    kind TEXT NOT NULL,
    rate_ppm INTEGER DEFAULT '0' NOT NULL,
    max_won BIGINT DEFAULT '0' NOT NULL,
    reason TEXT NOT NULL,
    placed_by TEXT NOT NULL,
    placed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    released_by TEXT,
    released_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (programme_no, hold_no),
    CONSTRAINT merchant_hold_kind CHECK (kind IN ('hold', 'reserve')),
    CONSTRAINT merchant_hold_rate CHECK (rate_ppm BETWEEN 0 AND 1000000 AND max_won >= 0)
);
CREATE UNIQUE INDEX merchant_hold_live ON merchant_hold (programme_no, merchant_no, kind) WHERE released_at IS NULL;

CREATE TABLE merchant_subsidy (
    programme_no SMALLINT NOT NULL,
    reference TEXT NOT NULL,
    merchant_no INTEGER NOT NULL,
    funder_no SMALLINT NOT NULL,
    won BIGINT NOT NULL,
    about TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    approved_by TEXT,
    approved_at TIMESTAMP WITH TIME ZONE,
    taken_date DATE,
    taken_cycle SMALLINT,
    PRIMARY KEY (programme_no, reference),
    CONSTRAINT merchant_subsidy_won CHECK (won > 0),
    CONSTRAINT merchant_subsidy_two_people CHECK (lower(approved_by) <> lower(proposed_by))
);
CREATE INDEX merchant_subsidy_taken ON merchant_subsidy (programme_no, taken_date, taken_cycle);

CREATE TABLE fee_rebate (
    programme_no SMALLINT NOT NULL,
    merchant_no INTEGER NOT NULL,
    business_date DATE NOT NULL,
    cycle SMALLINT NOT NULL,
    rebate_no SMALLINT NOT NULL,
    net BIGINT NOT NULL,
    charged_ppm INTEGER NOT NULL,
    due_ppm INTEGER NOT NULL,
    won BIGINT NOT NULL,
    vat BIGINT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    approved_by TEXT,
    approved_at TIMESTAMP WITH TIME ZONE,
    taken_date DATE,
    taken_cycle SMALLINT,
    PRIMARY KEY (programme_no, merchant_no, business_date, cycle, rebate_no),
    CONSTRAINT fee_rebate_won CHECK (won <> 0 AND due_ppm < charged_ppm),
    CONSTRAINT fee_rebate_two_people CHECK (lower(approved_by) <> lower(proposed_by))
);
CREATE INDEX fee_rebate_taken ON fee_rebate (programme_no, taken_date, taken_cycle);

GRANT SELECT, INSERT ON merchant_hold, merchant_subsidy, fee_rebate TO dure_app;
GRANT UPDATE (released_by, released_at) ON merchant_hold TO dure_app;
GRANT UPDATE (approved_by, approved_at, taken_date, taken_cycle) ON merchant_subsidy, fee_rebate TO dure_app;

-- Holds of pre-authorisations, the cards' counters, and the batch that a terminal counts a payment in.

ALTER TABLE payment ADD COLUMN batch_no INTEGER DEFAULT '0' NOT NULL;

-- A terminal's payments of a day, whose wallets (and so buckets) it does not know.
CREATE INDEX payment_terminal ON payment (terminal_id, local_time, stan);

ALTER TABLE wallet ADD COLUMN holds SMALLINT DEFAULT '0' NOT NULL;

CREATE TABLE hold (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    local_day DATE NOT NULL,
    expires INTEGER NOT NULL,
    won BIGINT NOT NULL,
    uses TEXT NOT NULL,
    PRIMARY KEY (bucket, wallet_id, seq),
    CONSTRAINT hold_won CHECK (won > 0)
);

ALTER TABLE card ADD COLUMN form TEXT DEFAULT 'card' NOT NULL;
ALTER TABLE card ADD COLUMN atc INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE card ADD COLUMN tap_count SMALLINT DEFAULT '0' NOT NULL;
ALTER TABLE card ADD COLUMN tap_won BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE card ADD COLUMN cvv_tries SMALLINT DEFAULT '0' NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON hold TO dure_app;

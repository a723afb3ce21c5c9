-- Terminal batches: what a terminal counted, what the host counted, and where they differ record by record.

CREATE TABLE terminal_batch (
    terminal_id TEXT NOT NULL,
    batch_no INTEGER NOT NULL,
    programme_no SMALLINT NOT NULL,
    merchant_no INTEGER NOT NULL,
    state TEXT NOT NULL,
    business_date DATE NOT NULL,
    reported_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    details INTEGER DEFAULT '0' NOT NULL,
    uploaded BOOLEAN DEFAULT false NOT NULL,
    credits BIGINT NOT NULL,
    credit_won BIGINT NOT NULL,
    credits_reversed BIGINT NOT NULL,
    credit_reversed_won BIGINT NOT NULL,
    debits BIGINT NOT NULL,
    debit_won BIGINT NOT NULL,
    debits_reversed BIGINT NOT NULL,
    debit_reversed_won BIGINT NOT NULL,
    host_credits BIGINT NOT NULL,
    host_credit_won BIGINT NOT NULL,
    host_credits_reversed BIGINT NOT NULL,
    host_credit_reversed_won BIGINT NOT NULL,
    host_debits BIGINT NOT NULL,
    host_debit_won BIGINT NOT NULL,
    host_debits_reversed BIGINT NOT NULL,
    host_debit_reversed_won BIGINT NOT NULL,
    differences INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (terminal_id, batch_no),
    CONSTRAINT terminal_batch_state CHECK (state IN ('open_differs', 'closed', 'closed_differs')),
    CONSTRAINT terminal_batch_closed CHECK ((closed_at IS NULL) = (state = 'open_differs'))
);
CREATE INDEX terminal_batch_date ON terminal_batch (business_date);

CREATE TABLE terminal_batch_detail (
    terminal_id TEXT NOT NULL,
    batch_no INTEGER NOT NULL,
    mti TEXT NOT NULL,
    stan INTEGER NOT NULL,
    transmission TEXT NOT NULL,
    processing TEXT NOT NULL,
    local_mmdd INTEGER NOT NULL,
    local_time INTEGER NOT NULL,
    amount BIGINT NOT NULL,
    rrn TEXT NOT NULL,
    approval TEXT NOT NULL,
    PRIMARY KEY (terminal_id, batch_no, mti, stan, transmission)
);

CREATE TABLE terminal_batch_difference (
    terminal_id TEXT NOT NULL,
    batch_no INTEGER NOT NULL,
    line INTEGER NOT NULL,
    what TEXT NOT NULL,
    processing TEXT NOT NULL,
    stan INTEGER NOT NULL,
    transmission TEXT NOT NULL,
    host_won BIGINT NOT NULL,
    terminal_won BIGINT NOT NULL,
    PRIMARY KEY (terminal_id, batch_no, line)
);

-- What a terminal reported and what differed is never rewritten; a batch only moves to its close.
GRANT SELECT, INSERT ON terminal_batch, terminal_batch_detail, terminal_batch_difference TO dure_app;
GRANT UPDATE ON terminal_batch TO dure_app;

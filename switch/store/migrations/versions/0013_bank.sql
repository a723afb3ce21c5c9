-- Between the books and the bank: files, approvals, deliveries, answers, statements.

ALTER TABLE payout
    ADD COLUMN state TEXT DEFAULT 'ordered' NOT NULL,
    ADD COLUMN reason TEXT DEFAULT '' NOT NULL,
    ADD COLUMN booked_on DATE,
    ADD COLUMN returned_on DATE;
-- What was ordered before there were answers is taken as sent: its file has long been fetched.
UPDATE payout p SET state = 'sent' FROM settlement_step s
WHERE (s.programme_no, s.business_date, s.cycle) = (p.programme_no, p.business_date, p.cycle)
  AND s.step = 'emit_files' AND s.state = 'done';
INSERT INTO settlement_step (programme_no, business_date, cycle, step, state, started_at, ended_at)
SELECT programme_no, business_date, cycle, later, 'done', started_at, ended_at
FROM settlement_step CROSS JOIN unnest(ARRAY['approve', 'deliver', 'acknowledge', 'reconcile']) AS later
WHERE step = 'emit_files' AND state = 'done';
GRANT UPDATE (pay_on, state, reason, booked_on, returned_on) ON payout TO dure_app;

CREATE TABLE house_transfer (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    cycle SMALLINT NOT NULL,
    purpose TEXT NOT NULL,
    funder_no SMALLINT NOT NULL,
    attempt SMALLINT NOT NULL,
    pay_on DATE NOT NULL,
    won BIGINT NOT NULL,
    end_to_end_id TEXT NOT NULL,
    debtor TEXT NOT NULL,
    payee TEXT NOT NULL,
    bank_code TEXT NOT NULL,
    account_no TEXT NOT NULL,
    account_holder TEXT NOT NULL,
    state TEXT DEFAULT 'ordered' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    booked_on DATE,
    received_on DATE,
    PRIMARY KEY (programme_no, business_date, cycle, purpose, funder_no, attempt),
    UNIQUE (end_to_end_id)
);

CREATE TABLE bank_file (
    programme_no SMALLINT NOT NULL,
    file_no INTEGER NOT NULL,
    business_date DATE NOT NULL,
    cycle SMALLINT NOT NULL,
    profile TEXT NOT NULL,
    debtor TEXT NOT NULL,
    debtor_name TEXT NOT NULL,
    debtor_account TEXT NOT NULL,
    debtor_bank TEXT NOT NULL,
    pay_on DATE NOT NULL,
    message_id TEXT NOT NULL,
    payment_information_id TEXT NOT NULL,
    name TEXT NOT NULL,
    remittance TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    made_by TEXT NOT NULL,
    payments INTEGER NOT NULL,
    won BIGINT NOT NULL,
    sha256 TEXT,
    state TEXT NOT NULL,
    PRIMARY KEY (programme_no, file_no),
    UNIQUE (message_id),
    UNIQUE (payment_information_id),
    UNIQUE (name),
    UNIQUE (programme_no, file_no, sha256, made_by),
    CONSTRAINT bank_file_won CHECK (payments > 0 AND won > 0)
);

CREATE TABLE bank_file_line (
    programme_no SMALLINT NOT NULL,
    file_no INTEGER NOT NULL,
    line INTEGER NOT NULL,
    end_to_end_id TEXT NOT NULL,
    PRIMARY KEY (programme_no, file_no, line),
    UNIQUE (programme_no, file_no, end_to_end_id)
);

CREATE INDEX bank_file_line_item ON bank_file_line (end_to_end_id);

CREATE TABLE file_approval (
    programme_no SMALLINT NOT NULL,
    file_no INTEGER NOT NULL,
    approval_no SMALLINT NOT NULL,
    sha256 TEXT NOT NULL,
    made_by TEXT NOT NULL,
    approved_by TEXT NOT NULL,
    approved_at TIMESTAMP WITH TIME ZONE NOT NULL,
    voided_at TIMESTAMP WITH TIME ZONE,
    void_reason TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (programme_no, file_no, approval_no),
    FOREIGN KEY(programme_no, file_no, sha256, made_by) REFERENCES bank_file (programme_no, file_no, sha256, made_by),
    CONSTRAINT file_approval_two_people CHECK (lower(approved_by) <> lower(made_by))
);

CREATE TABLE file_delivery (
    programme_no SMALLINT NOT NULL,
    file_no INTEGER NOT NULL,
    try_no SMALLINT NOT NULL,
    channel TEXT NOT NULL,
    by TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    outcome TEXT NOT NULL,
    told TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (programme_no, file_no, try_no)
);

CREATE TABLE inbound_file (
    inbound_no INTEGER NOT NULL,
    programme_no SMALLINT DEFAULT '0' NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    kind TEXT DEFAULT '' NOT NULL,
    message_id TEXT DEFAULT '' NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    archived TEXT NOT NULL,
    state TEXT NOT NULL,
    problem TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (inbound_no),
    UNIQUE (sha256)
);

CREATE TABLE payout_event (
    programme_no SMALLINT NOT NULL,
    end_to_end_id TEXT NOT NULL,
    event_no SMALLINT NOT NULL,
    event TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    inbound_no INTEGER DEFAULT '0' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    told TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (programme_no, end_to_end_id, event_no)
);

CREATE TABLE bank_statement (
    programme_no SMALLINT NOT NULL,
    account TEXT NOT NULL,
    statement_id TEXT NOT NULL,
    sequence INTEGER,
    first DATE NOT NULL,
    last DATE NOT NULL,
    opening BIGINT NOT NULL,
    closing BIGINT NOT NULL,
    entries INTEGER NOT NULL,
    inbound_no INTEGER NOT NULL,
    PRIMARY KEY (programme_no, account, statement_id)
);

CREATE TABLE bank_entry (
    programme_no SMALLINT NOT NULL,
    account TEXT NOT NULL,
    statement_id TEXT NOT NULL,
    entry_no INTEGER NOT NULL,
    booked_on DATE NOT NULL,
    won BIGINT NOT NULL,
    reference TEXT DEFAULT '' NOT NULL,
    end_to_end_id TEXT DEFAULT '' NOT NULL,
    payment_information_id TEXT DEFAULT '' NOT NULL,
    message_id TEXT DEFAULT '' NOT NULL,
    remittance TEXT DEFAULT '' NOT NULL,
    return_reason TEXT DEFAULT '' NOT NULL,
    state TEXT NOT NULL,
    kind TEXT DEFAULT '' NOT NULL,
    carrier TEXT DEFAULT '' NOT NULL,
    matched_to TEXT DEFAULT '' NOT NULL,
    resolved_by TEXT DEFAULT '' NOT NULL,
    resolved_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (programme_no, account, statement_id, entry_no)
);

CREATE TABLE funding_stop (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    funder_no SMALLINT NOT NULL,
    won BIGINT NOT NULL,
    stopped_at TIMESTAMP WITH TIME ZONE NOT NULL,
    credited_by DATE,
    PRIMARY KEY (programme_no, business_date, funder_no)
);

CREATE TABLE funding_night (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    funder_no SMALLINT NOT NULL,
    prepaid BIGINT NOT NULL,
    net BIGINT NOT NULL,
    covered BOOLEAN NOT NULL,
    PRIMARY KEY (programme_no, business_date, funder_no)
);

CREATE TABLE funder_prepayment (
    programme_no SMALLINT NOT NULL,
    reference TEXT NOT NULL,
    funder_no SMALLINT NOT NULL,
    won BIGINT NOT NULL,
    noted_by TEXT NOT NULL,
    noted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (programme_no, reference)
);

-- What was ordered, approved, delivered or said by the bank stays as it was; only what became of it is noted.
GRANT SELECT, INSERT ON house_transfer, bank_file, bank_file_line, file_approval, file_delivery, inbound_file,
    payout_event, bank_statement, bank_entry, funding_stop, funding_night, funder_prepayment TO dure_app;
GRANT UPDATE (pay_on, state, reason, booked_on, received_on) ON house_transfer TO dure_app;
GRANT UPDATE (sha256, state) ON bank_file TO dure_app;
GRANT UPDATE (voided_at, void_reason) ON file_approval TO dure_app;
GRANT UPDATE (ended_at, outcome, told) ON file_delivery TO dure_app;
GRANT UPDATE (programme_no, kind, message_id, state, problem) ON inbound_file TO dure_app;
GRANT UPDATE (state, kind, carrier, matched_to, resolved_by, resolved_at) ON bank_entry TO dure_app;
GRANT UPDATE (credited_by) ON funding_stop TO dure_app;

-- Who may do what, and who did it.

CREATE TABLE operator (
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    password TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT 'active' NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (name)
);

-- Capitals make no second person.
CREATE UNIQUE INDEX operator_person ON operator (lower(name));

CREATE TABLE settlement_audit (
    audit_no BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_sha256 TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (audit_no)
);

CREATE INDEX settlement_audit_subject ON settlement_audit (subject, audit_no);

GRANT SELECT, INSERT, UPDATE ON operator TO dure_app;
GRANT SELECT, INSERT ON settlement_audit TO dure_app;

-- Keys of terminals: two session sets, key blocks, derived unique keys; the audit of key acts; the vault's age.

ALTER TABLE terminal
    ADD COLUMN tmk_at TIMESTAMPTZ,
    ADD COLUMN key_mode TEXT DEFAULT 'session' NOT NULL,
    ADD COLUMN key_form TEXT DEFAULT 'block' NOT NULL,
    ADD COLUMN keys_until TIMESTAMPTZ,
    ADD COLUMN keys_seen BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN tpk_old TEXT,
    ADD COLUMN tak_old TEXT,
    ADD COLUMN old_until TIMESTAMPTZ,
    ADD COLUMN bdk TEXT,
    ADD COLUMN ksn_id TEXT,
    ADD COLUMN ksn_counter BIGINT DEFAULT '-1' NOT NULL,
    ADD COLUMN batch_closed INTEGER DEFAULT '0' NOT NULL,
    ADD COLUMN notify BOOLEAN DEFAULT false NOT NULL,
    ADD CONSTRAINT terminal_key_mode CHECK (key_mode IN ('session', 'dukpt_tdes', 'dukpt_aes')),
    ADD CONSTRAINT terminal_key_form CHECK (key_form IN ('block', 'x917')),
    ADD CONSTRAINT terminal_derived_key
        CHECK (key_mode = 'session' OR (bdk IS NOT NULL AND ksn_id IS NOT NULL));

-- Sets handed out before sets had an end stay good, in the form that their terminals read.
UPDATE terminal SET key_form = 'x917', keys_seen = tak IS NOT NULL;

CREATE INDEX terminal_keys_until ON terminal (keys_until);

CREATE TABLE key_audit (
    audit_no BIGINT GENERATED ALWAYS AS IDENTITY,
    noted_at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (audit_no)
);
GRANT SELECT, INSERT ON key_audit TO dure_app;

-- The lowest version of vault keys under which a card may still be added: a key file of before is refused.
ALTER TABLE control ADD COLUMN vault_version SMALLINT DEFAULT '0' NOT NULL;

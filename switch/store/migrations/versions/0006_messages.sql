-- Messages to terminals: what is still to be told and acknowledged, what is known of them, and the hot list.

-- Written in the payment's own transaction; goes when the terminal itself has acknowledged.
CREATE TABLE outbox (
    bucket SMALLINT NOT NULL,
    event_id TEXT NOT NULL,
    terminal_id TEXT NOT NULL,
    kind SMALLINT NOT NULL,
    body TEXT NOT NULL,
    tries INTEGER DEFAULT '0' NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    due_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    PRIMARY KEY (bucket, event_id, terminal_id)
);

CREATE INDEX outbox_due ON outbox (due_at, created_at, event_id);

CREATE INDEX outbox_terminal ON outbox (terminal_id, created_at, event_id);

CREATE TABLE terminal_state (
    terminal_id TEXT NOT NULL,
    up BOOLEAN NOT NULL,
    session BIGINT NOT NULL,
    first_seen TIMESTAMPTZ NOT NULL,
    last_seen TIMESTAMPTZ NOT NULL,
    config_version INTEGER DEFAULT '0' NOT NULL,
    hotlist_version BIGINT DEFAULT '0' NOT NULL,
    tele TEXT DEFAULT '{}' NOT NULL,
    PRIMARY KEY (terminal_id)
);

CREATE TABLE terminal_config (
    terminal_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    document TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (terminal_id)
);

-- What a terminal has been warned of, so that it is warned once.
CREATE TABLE key_warning (
    terminal_id TEXT NOT NULL,
    keys_until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (terminal_id)
);

-- One row an act, in the order of its versions; the last act on a card says whether it is on the list.
CREATE TABLE hotlist (
    version BIGINT NOT NULL,
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    card_no SMALLINT NOT NULL,
    listed BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    noted_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    PRIMARY KEY (version)
);

CREATE INDEX hotlist_card ON hotlist (bucket, wallet_id, card_no);

-- The outbox lives by INSERT, UPDATE and DELETE: vacuum it long before it has grown.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

GRANT SELECT, INSERT, UPDATE, DELETE ON outbox, terminal_state, terminal_config, key_warning TO dure_app;
GRANT SELECT, INSERT ON hotlist TO dure_app;

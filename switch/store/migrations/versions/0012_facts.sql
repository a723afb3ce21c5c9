-- Merchants' facts that change on a day. The merchant's own row has those that it began with.

CREATE TABLE merchant_fact (
    merchant_no INTEGER NOT NULL,
    valid_from DATE NOT NULL,
    category TEXT NOT NULL,
    size TEXT NOT NULL,
    region TEXT NOT NULL,
    head_region TEXT NOT NULL,
    PRIMARY KEY (merchant_no, valid_from)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON merchant_fact TO dure_app;

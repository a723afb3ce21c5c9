-- Old days leave the database; their sums stay.

CREATE TABLE archived_day (
    day DATE NOT NULL,
    archived_at TIMESTAMP WITH TIME ZONE NOT NULL,
    archived_by TEXT NOT NULL,
    payment_sha256 TEXT NOT NULL,
    payments BIGINT NOT NULL,
    payments_won BIGINT NOT NULL,
    payments_kept BIGINT NOT NULL,
    entry_sha256 TEXT NOT NULL,
    entries BIGINT NOT NULL,
    entries_won BIGINT NOT NULL,
    entries_kept BIGINT NOT NULL,
    PRIMARY KEY (day)
);

CREATE TABLE archived_date (
    programme_no SMALLINT NOT NULL,
    business_date DATE NOT NULL,
    payments BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    won BIGINT NOT NULL,
    content_sha256 TEXT NOT NULL,
    PRIMARY KEY (programme_no, business_date)
);

CREATE TABLE opening_entry (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    programme_no SMALLINT NOT NULL,
    source SMALLINT NOT NULL,
    debit SMALLINT NOT NULL,
    credit SMALLINT NOT NULL,
    lot_no INTEGER NOT NULL,
    funder_no SMALLINT NOT NULL,
    won BIGINT NOT NULL,
    PRIMARY KEY (bucket, wallet_id, source, debit, credit, lot_no, funder_no),
    CONSTRAINT opening_entry_balanced CHECK (won > 0 AND debit <> credit)
);

CREATE TABLE opening_wallet (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    postings INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    day INTEGER NOT NULL,
    day_spent BIGINT NOT NULL,
    PRIMARY KEY (bucket, wallet_id)
);

CREATE TABLE opening_usage (
    bucket SMALLINT NOT NULL,
    wallet_id BIGINT NOT NULL,
    month INTEGER NOT NULL,
    basis BIGINT NOT NULL,
    spent BIGINT NOT NULL,
    topup BIGINT NOT NULL,
    PRIMARY KEY (bucket, wallet_id, month)
);

CREATE TABLE opening_budget (
    budget_no SMALLINT NOT NULL,
    month INTEGER NOT NULL,
    won BIGINT NOT NULL,
    PRIMARY KEY (budget_no, month)
);

GRANT SELECT ON archived_day TO dure_app;
GRANT SELECT, INSERT ON archived_date, opening_entry, opening_wallet, opening_usage, opening_budget TO dure_app;  -- imports

-- Postings of a day that must stay whole where they are: something that stays speaks of them. A posting of
-- which one row lies on another day, acts and corrections, open-ended kinds (pre-authorisations with their
-- completions, gifts, top-ups with an outside reference), evidence of a flag; and what gave back one of those.
CREATE FUNCTION dure_archive_kept(wanted date) RETURNS TABLE (bucket smallint, wallet_id bigint, seq integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    added bigint;
BEGIN
    CREATE TEMPORARY TABLE dure_kept (bucket smallint, wallet_id bigint, seq integer,
                                      PRIMARY KEY (bucket, wallet_id, seq)) ON COMMIT DROP;
    INSERT INTO pg_temp.dure_kept
    SELECT p.bucket, p.wallet_id, p.seq FROM public.payment p
    WHERE p.local_day = wanted
      AND (p.business_date <> wanted OR p.kind IN (6, 8) OR (p.kind = 1 AND p.original_seq > 0)
           OR p.detail LIKE '%"outside_ref"%')
    UNION
    SELECT p.bucket, p.wallet_id, p.seq FROM public.payment p
    JOIN public.watch_evidence e ON e.bucket = p.bucket AND e.local_day = p.local_day
     AND e.local_time = p.local_time AND e.terminal_id = p.terminal_id AND e.stan = p.stan AND e.kind = p.kind
    WHERE p.local_day = wanted AND e.local_day = wanted
    UNION
    SELECT e.bucket, e.wallet_id, e.seq FROM public.entry e
    WHERE e.business_date = wanted
      AND (e.source IN (4, 5) OR (e.source <> 1 AND e.budget_no > 0)
           OR (e.source = 1 AND NOT EXISTS (
               SELECT FROM public.payment p WHERE p.local_day = wanted AND p.bucket = e.bucket
                 AND p.wallet_id = e.wallet_id AND p.seq = e.seq)));
    FOR round IN 1..10 LOOP
        INSERT INTO pg_temp.dure_kept
        SELECT p.bucket, p.wallet_id, p.seq FROM public.payment p
        WHERE p.local_day = wanted AND p.original_seq > 0
          AND NOT EXISTS (SELECT FROM pg_temp.dure_kept k
                          WHERE k.bucket = p.bucket AND k.wallet_id = p.wallet_id AND k.seq = p.seq)
          AND (EXISTS (SELECT FROM pg_temp.dure_kept k
                       WHERE k.bucket = p.bucket AND k.wallet_id = p.wallet_id AND k.seq = p.original_seq)
               OR EXISTS (SELECT FROM public.payment o WHERE o.bucket = p.bucket
                          AND o.wallet_id = p.wallet_id AND o.seq = p.original_seq AND o.local_day <> wanted));
        GET DIAGNOSTICS added = ROW_COUNT;
        EXIT WHEN added = 0;
    END LOOP;
    RETURN QUERY SELECT k.bucket, k.wallet_id, k.seq FROM pg_temp.dure_kept k;
    DROP TABLE pg_temp.dure_kept;
END $$;

-- Takes a day's partitions out and puts their sums into the opening tables; what must stay is put back into
-- small partitions of the same day. All in the caller's transaction. The counts and sums are those of the
-- files that were written of the day before: where they differ, nothing is done.
CREATE FUNCTION dure_archive_day(wanted date, at timestamptz, by text,
    payment_sha256 text, payments bigint, payments_won bigint,
    entry_sha256 text, entries bigint, entries_won bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    name_of_day text := to_char(wanted, 'YYYYMMDD');
    day_number integer := to_char(wanted, 'YYYYMMDD')::int;
    found_rows bigint;
    found_won bigint;
    kept_payments bigint;
    kept_entries bigint;
    parent text;
BEGIN
    PERFORM set_config('lock_timeout', '5s', true);
    EXECUTE format('LOCK TABLE %I, %I IN SHARE MODE', 'payment_' || name_of_day, 'entry_' || name_of_day);
    -- Only dates that are closed, proved at their closing, and out of reach of every refund.
    IF EXISTS (
        SELECT FROM (SELECT e.programme_no, true AS booked FROM entry e WHERE e.business_date = wanted
                     UNION SELECT b.programme_no, true FROM business_day b WHERE b.business_date = wanted
                     UNION SELECT p.programme_no, false FROM payment p WHERE p.local_day = wanted) u
        JOIN programme g ON g.programme_no = u.programme_no
        LEFT JOIN archived_date a ON a.programme_no = u.programme_no AND a.business_date = wanted
        WHERE (u.booked AND a.programme_no IS NULL) OR g.closed_through IS NULL
           OR g.closed_through - wanted < 367) THEN
        RAISE EXCEPTION 'day % is not to be archived: not closed, not recorded, or too young', wanted;
    END IF;
    SELECT count(*), coalesce(sum(approved), 0) INTO found_rows, found_won FROM payment WHERE local_day = wanted;
    IF (found_rows, found_won) <> (payments, payments_won) THEN
        RAISE EXCEPTION 'day % has changed since its payments were written: archive it again', wanted;
    END IF;
    SELECT count(*), coalesce(sum(won), 0) INTO found_rows, found_won FROM entry WHERE business_date = wanted;
    IF (found_rows, found_won) <> (entries, entries_won) THEN
        RAISE EXCEPTION 'day % has changed since its entries were written: archive it again', wanted;
    END IF;
    CREATE TEMPORARY TABLE dure_stays ON COMMIT DROP AS SELECT * FROM dure_archive_kept(wanted);
    CREATE TEMPORARY TABLE dure_payment ON COMMIT DROP AS
        SELECT p.* FROM payment p WHERE p.local_day = wanted AND NOT EXISTS (
            SELECT FROM pg_temp.dure_stays k
            WHERE k.bucket = p.bucket AND k.wallet_id = p.wallet_id AND k.seq = p.seq);
    CREATE TEMPORARY TABLE dure_entry ON COMMIT DROP AS
        SELECT e.* FROM entry e WHERE e.business_date = wanted AND NOT EXISTS (
            SELECT FROM pg_temp.dure_stays k
            WHERE k.bucket = e.bucket AND k.wallet_id = e.wallet_id AND k.seq = e.seq);

    INSERT INTO opening_entry AS o
    SELECT e.bucket, e.wallet_id, e.programme_no, e.source, e.debit, e.credit, e.lot_no, e.funder_no, sum(e.won)
    FROM pg_temp.dure_entry e GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ON CONFLICT ON CONSTRAINT opening_entry_pkey DO UPDATE SET won = o.won + excluded.won;
    INSERT INTO opening_wallet AS o
    SELECT s.bucket, s.wallet_id, count(*), max(s.seq), 0, 0
    FROM (SELECT p.bucket, p.wallet_id, p.seq FROM pg_temp.dure_payment p WHERE p.wallet_id > 0
          UNION SELECT e.bucket, e.wallet_id, e.seq FROM pg_temp.dure_entry e) s
    GROUP BY 1, 2
    ON CONFLICT ON CONSTRAINT opening_wallet_pkey DO UPDATE
    SET postings = o.postings + excluded.postings, last_seq = greatest(o.last_seq, excluded.last_seq);
    UPDATE opening_wallet o SET day = day_number, day_spent = s.won
    FROM (SELECT p.bucket, p.wallet_id, sum(p.approved - p.returned) AS won FROM pg_temp.dure_payment p
          WHERE p.kind = 1 GROUP BY 1, 2) s
    JOIN wallet w ON w.bucket = s.bucket AND w.wallet_id = s.wallet_id AND w.day = day_number
    WHERE o.bucket = s.bucket AND o.wallet_id = s.wallet_id;
    INSERT INTO opening_usage AS o
    SELECT * FROM (
        SELECT p.bucket, p.wallet_id, p.usage_month, sum(p.basis) AS basis,
               coalesce(sum(p.approved - p.returned) FILTER (WHERE p.kind = 1), 0) AS spent,
               coalesce(sum(p.approved - p.returned) FILTER (WHERE p.kind = 3), 0) AS topup
        FROM pg_temp.dure_payment p GROUP BY 1, 2, 3) u
    WHERE (u.basis, u.spent, u.topup) <> (0, 0, 0)
    ON CONFLICT ON CONSTRAINT opening_usage_pkey DO UPDATE
    SET basis = o.basis + excluded.basis, spent = o.spent + excluded.spent, topup = o.topup + excluded.topup;
    INSERT INTO opening_budget AS o
    SELECT e.budget_no, p.usage_month, sum(CASE WHEN e.debit IN (101, 111) THEN e.won ELSE -e.won END)
    FROM pg_temp.dure_entry e
    JOIN pg_temp.dure_payment p ON p.bucket = e.bucket AND p.wallet_id = e.wallet_id AND p.seq = e.seq
    WHERE e.budget_no > 0 GROUP BY 1, 2
    ON CONFLICT ON CONSTRAINT opening_budget_pkey DO UPDATE SET won = o.won + excluded.won;

    -- New small partitions, filled before the parents are touched.
    FOREACH parent IN ARRAY ARRAY['payment', 'entry'] LOOP
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', parent || '_kept_' || name_of_day, parent);
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT of_day CHECK (%I = %L)',
                       parent || '_kept_' || name_of_day,
                       CASE parent WHEN 'payment' THEN 'local_day' ELSE 'business_date' END, wanted);
        EXECUTE format('INSERT INTO %I SELECT t.* FROM %I t JOIN pg_temp.dure_stays k'
                       ' ON k.bucket = t.bucket AND k.wallet_id = t.wallet_id AND k.seq = t.seq',
                       parent || '_kept_' || name_of_day, parent || '_' || name_of_day);
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        IF parent = 'payment' THEN kept_payments := found_rows; ELSE kept_entries := found_rows; END IF;
    END LOOP;
    INSERT INTO archived_day VALUES (wanted, at, by, payment_sha256, payments, payments_won, kept_payments,
                                     entry_sha256, entries, entries_won, kept_entries);

    -- Payments wait from here to the commit, and for no longer than this for whoever reads just now.
    PERFORM set_config('lock_timeout', '300ms', true);
    FOR attempt IN 1..20 LOOP
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('dure_ensure_day'));
            LOCK TABLE payment, entry IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = 20 THEN RAISE; END IF;
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
    FOREACH parent IN ARRAY ARRAY['payment', 'entry'] LOOP
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, parent || '_' || name_of_day);
        EXECUTE format('DROP TABLE %I', parent || '_' || name_of_day);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', parent || '_kept_' || name_of_day,
                       parent || '_' || name_of_day);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       parent, parent || '_' || name_of_day, wanted, wanted + 1);
    END LOOP;
    DROP TABLE pg_temp.dure_stays, pg_temp.dure_payment, pg_temp.dure_entry;
END $$;

-- The date as it was closed, noted before its entries leave.
CREATE FUNCTION dure_archive_date(programme smallint, wanted date, content text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO archived_date
    SELECT b.programme_no, b.business_date, b.payments, b.entries, b.won, content
    FROM business_day b WHERE b.programme_no = programme AND b.business_date = wanted
      AND b.sha256 = encode(sha256(convert_to(b.previous_sha256 || E'\n' || content || E'\n', 'UTF8')), 'hex')
$$;

-- A day put back for looking, beside the books and not into them.
CREATE FUNCTION dure_restore_day(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
BEGIN
    IF NOT EXISTS (SELECT FROM archived_day WHERE day = wanted) THEN
        RAISE EXCEPTION 'day % is not archived', wanted;
    END IF;
    CREATE SCHEMA IF NOT EXISTS restored;
    GRANT USAGE ON SCHEMA restored TO dure_app;
    FOREACH parent IN ARRAY ARRAY['payment', 'entry'] LOOP
        EXECUTE format('DROP TABLE IF EXISTS restored.%I', parent || '_' || to_char(wanted, 'YYYYMMDD'));
        EXECUTE format('CREATE TABLE restored.%I (LIKE %I)', parent || '_' || to_char(wanted, 'YYYYMMDD'), parent);
        EXECUTE format('GRANT SELECT, INSERT ON restored.%I TO dure_app',
                       parent || '_' || to_char(wanted, 'YYYYMMDD'));
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION dure_archive_kept(date), dure_archive_date(smallint, date, text), dure_restore_day(date),
    dure_archive_day(date, timestamptz, text, text, bigint, bigint, text, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dure_archive_date(smallint, date, text), dure_restore_day(date),
    dure_archive_day(date, timestamptz, text, text, bigint, bigint, text, bigint, bigint) TO dure_app;

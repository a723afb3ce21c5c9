"""The statements of the outbox and of what is known of terminals."""

SETTINGS = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET synchronous_commit = on"

LEAD = "SELECT pg_try_advisory_lock(hashtext('dure_notify'))"

DOWN = "SELECT terminal_id FROM terminal_state WHERE NOT up"

OWED = "SELECT terminal_id, count(*) FROM outbox WHERE tries > 0 GROUP BY terminal_id"

PARKED = "SELECT DISTINCT terminal_id FROM outbox WHERE due_at = 'infinity'"

DUE = """\
SELECT bucket, event_id, terminal_id, kind, body, tries,
       greatest(extract(epoch FROM now() - created_at), 0)::integer
FROM outbox WHERE due_at <= now()
ORDER BY due_at, created_at, event_id LIMIT %s"""

_K = "unnest(%s::smallint[], %s::text[], %s::text[]{more}) AS k(bucket, event_id, terminal_id{names})"
_IS_K = "o.bucket = k.bucket AND o.event_id = k.event_id AND o.terminal_id = k.terminal_id"

MARK = f"""\
UPDATE outbox o SET tries = o.tries + 1, due_at = now() + make_interval(secs => k.again)
FROM {_K.format(more=", %s::integer[]", names=", again")} WHERE {_IS_K}"""  # noqa: S608 - of constants of this file

PARK = f"""\
UPDATE outbox o SET due_at = 'infinity' FROM {_K.format(more="", names="")} WHERE {_IS_K}"""  # noqa: S608 - of constants of this file

_OLDEST = """\
UPDATE outbox o SET due_at = now()
FROM unnest(%s::text[]) AS t(terminal_id) CROSS JOIN LATERAL (
    SELECT e.bucket, e.event_id FROM outbox e WHERE e.terminal_id = t.terminal_id {of_them}
    ORDER BY e.created_at, e.event_id LIMIT %s) AS k
WHERE o.bucket = k.bucket AND o.event_id = k.event_id AND o.terminal_id = t.terminal_id
    AND o.due_at > now()"""

WAKE = _OLDEST.format(of_them="")

UNPARK = _OLDEST.format(of_them="AND e.due_at = 'infinity'")

CLEAR = f"""\
DELETE FROM outbox o USING {_K.format(more="", names="")} WHERE {_IS_K}
RETURNING o.terminal_id, o.kind, o.tries"""  # noqa: S608 - of constants of this file

STATE = """\
INSERT INTO terminal_state AS s
    (terminal_id, up, session, first_seen, last_seen, config_version, hotlist_version)
SELECT t.terminal_id, k.up, k.session, now(), now(), k.config_version, k.hotlist_version
FROM unnest(%s::text[], %s::boolean[], %s::bigint[], %s::integer[], %s::bigint[])
    AS k(terminal_id, up, session, config_version, hotlist_version)
JOIN terminal t ON t.terminal_id = k.terminal_id
ON CONFLICT (terminal_id) DO UPDATE SET up = excluded.up, session = excluded.session, last_seen = now(),
    config_version = CASE WHEN excluded.up THEN excluded.config_version ELSE s.config_version END,
    hotlist_version = CASE WHEN excluded.up THEN excluded.hotlist_version ELSE s.hotlist_version END
WHERE excluded.up OR excluded.session = s.session
RETURNING s.terminal_id, s.up"""

TELE = """\
UPDATE terminal_state s SET tele = k.tele, last_seen = now()
FROM unnest(%s::text[], %s::text[]) AS k(terminal_id, tele) WHERE s.terminal_id = k.terminal_id"""

CONFIGS = """\
SELECT terminal_id, version, sha256, document FROM terminal_config
WHERE terminal_id > %s ORDER BY terminal_id LIMIT %s"""

HOTLIST_VERSION = "SELECT coalesce(max(version), 0) FROM hotlist"

# The last act on each card that was ever on the list.
HOTLIST = """\
SELECT h.version, h.listed, c.bucket, c.wallet_id, c.card_no, c.key_version, c.pan_box
FROM (SELECT DISTINCT ON (bucket, wallet_id, card_no) * FROM hotlist
      ORDER BY bucket, wallet_id, card_no, version DESC) h
JOIN card c ON c.bucket = h.bucket AND c.wallet_id = h.wallet_id AND c.card_no = h.card_no
ORDER BY h.version DESC LIMIT %s"""

KEYS_ENDING = """\
SELECT t.terminal_id, t.keys_until FROM terminal t LEFT JOIN key_warning w ON w.terminal_id = t.terminal_id
WHERE t.state = 'active' AND t.keys_until < %s AND w.keys_until IS DISTINCT FROM t.keys_until
ORDER BY t.keys_until LIMIT %s"""

WARN = """\
WITH k AS (
    SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::smallint[], %s::text[], %s::text[])
        AS k(terminal_id, keys_until, bucket, event_id, body)
), warned AS (
    INSERT INTO key_warning (terminal_id, keys_until) SELECT terminal_id, keys_until FROM k
    ON CONFLICT (terminal_id) DO UPDATE SET keys_until = excluded.keys_until
)
INSERT INTO outbox (bucket, event_id, terminal_id, kind, body)
SELECT bucket, event_id, terminal_id, %s, body FROM k ON CONFLICT DO NOTHING"""

DEPTH = """\
SELECT count(*), count(*) FILTER (WHERE due_at = 'infinity'),
       coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint
FROM outbox"""

DROP = """\
DELETE FROM outbox WHERE (bucket, event_id, terminal_id) IN (
    SELECT bucket, event_id, terminal_id FROM outbox
    WHERE created_at < now() - make_interval(days => %s) LIMIT %s)
RETURNING 1"""

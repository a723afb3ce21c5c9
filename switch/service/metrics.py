"""What the switch counts. Names follow Prometheus' conventions; seconds are histograms."""

from prometheus_client import Gauge

from switch.service.tally import Counter, Histogram

_FINE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

CONNECTIONS = Gauge("dure_connections", "Open terminal connections")
CONNECTIONS_REFUSED = Counter("dure_connections_refused_total", "Connections that were not let in", ["why"])
CONNECTIONS_DROPPED = Counter("dure_connections_dropped_total", "Connections closed by the switch", ["why"])
IN_FLIGHT = Gauge("dure_requests_in_flight", "Requests being worked on")
ANSWERS = Counter("dure_answers_total", "Answers sent", ["mti", "code"])
CERTIFICATE_DAYS = Gauge(
    "dure_certificate_days_left", "Days until a listener's file runs out", ["listener", "file"]
)
TLS_RELOADS = Counter("dure_tls_reloads_total", "New certificates of a listener", ["result"])
REQUESTS_WAITING = Gauge("dure_requests_waiting", "Messages that wait for their turn")
REQUESTS_SHED = Counter("dure_requests_shed_total", "Messages dropped unanswered in a flood", ["why"])
LATE = Counter("dure_answers_undeliverable_total", "Answers whose connection had gone")
REQUEST_SECONDS = Histogram("dure_request_seconds", "From the last byte in to the answer out", _FINE)

BATCHES = Counter("dure_batches_total", "Batches committed")
BATCH_SIZE = Histogram("dure_batch_size", "Requests in a batch", (1, 2, 4, 8, 16, 32, 64, 128, 256))
BATCH_SECONDS = Histogram("dure_batch_seconds", "From BEGIN to the durable commit", _FINE)
BATCH_RETRIES = Counter("dure_batch_retries_total", "Batches begun again", ["why"])
QUEUE = Gauge("dure_lane_queue", "Requests waiting for a lane", ["lane"])
STALE = Counter(
    "dure_requests_stale_total", "Requests that waited too long for their lane and were not booked"
)
GIVEN_UP = Counter(
    "dure_requests_given_up_total", "Requests of a programme in a rush that made room for another programme"
)
REPEATS = Counter("dure_repeats_total", "Repeats answered from the stored result")
DIFFERING_REPEATS = Counter("dure_repeats_differing_total", "Same key with other contents: look into it")
TERMINAL_BATCHES = Counter("dure_terminal_batches_total", "Closes of terminals' batches answered", ["state"])
CASHBACK_MISSED = Counter(
    "dure_cashback_missed_won_total", "Won of cashback that were due and that no budget had any more"
)
EXCEPTIONS = Counter("dure_exceptions_total", "Acknowledged, but an operator must look at it")

HSM_SECONDS = Histogram("dure_hsm_seconds", "HSM commands", _FINE, "command")
HSM_FAILURES = Counter("dure_hsm_failures_total", "HSM commands without an answer")
PROBES = Counter("dure_probes_total", "Unknown cards, wrong check values and wrong PINs")
MAC_FAILURES = Counter("dure_mac_failures_total", "Messages with a wrong MAC")
TERMINAL_KEYS = Gauge(
    "dure_terminal_keys", "Active terminals whose keys ended, end soon, or are old", ["state"]
)
SERIALS_REPLAYED = Counter("dure_key_serials_replayed_total", "Key serial numbers that came again")
CARD_LOOKUPS = Counter("dure_card_lookups_total", "Cards looked up in the books, not in memory")

"""What the publisher of messages to terminals counts."""

from prometheus_client import Gauge

from switch.service.tally import Counter

DEPTH = Gauge("dure_outbox_messages", "Messages that no terminal has acknowledged yet")
PARKED = Gauge("dure_outbox_parked", "Messages set aside: their terminal is gone or owes too many acks")
OLDEST = Gauge("dure_outbox_oldest_seconds", "Age of the oldest message that waits")
LEADING = Gauge("dure_outbox_leading", "1 in the one process that publishes, 0 in those that stand by")
CONNECTED = Gauge("dure_broker_connected", "1 while the broker is there")
BROKEN = Counter("dure_broker_failures_total", "Connections to the broker that failed or broke")
SENT = Counter("dure_outbox_sent_total", "Messages handed to the broker", ["what"])
SENT_AGAIN = Counter("dure_outbox_sent_again_total", "Messages sent again because no ack came")
ACKS = Counter("dure_outbox_acks_total", "Acks of terminals", ["result"])
ACKS_UNKNOWN = Counter(
    "dure_outbox_acks_unknown_total", "Acks of messages that are gone: sent twice, acked twice"
)
DROPPED = Counter(
    "dure_outbox_dropped_total", "Messages dropped after keep_days without an ack: look into it"
)
REFUSED = Counter("dure_estate_refused_total", "Messages of terminals that were not taken", ["why"])
ESTATE_UP = Counter("dure_estate_states_total", "States that terminals told", ["state"])

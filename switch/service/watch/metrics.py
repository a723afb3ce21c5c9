"""What the watch counts."""

from prometheus_client import Gauge

from switch.service.tally import Counter

SEEN = Counter("dure_watch_payments_total", "Payments that the watch has looked at")
LATE = Counter("dure_watch_payments_late_total", "Payments that only the sweep over a business date found")
FLAGS = Counter("dure_watch_flags_total", "Flags opened", ["detector"])
STOPS = Counter("dure_watch_stops_total", "Stops put into force or made longer")
SUBJECTS = Gauge("dure_watch_subjects", "Members and shops kept in mind, rule by rule")
LOOKED_AT = Gauge("dure_watch_looked_timestamp_seconds", "When the newest payments were last looked at")
BROKEN = Counter("dure_watch_failures_total", "Times the watch began again from the books")

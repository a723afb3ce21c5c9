"""The hot list at a real Mosquitto over TLS."""

from tests.integration.mqtt.test_hotlist import (
    test_a_card_is_declined_from_the_moment_the_act_returns_without_a_broker,
    test_a_long_list_comes_whole_in_parts_and_then_as_changes,
)

__all__ = [
    "test_a_card_is_declined_from_the_moment_the_act_returns_without_a_broker",
    "test_a_long_list_comes_whole_in_parts_and_then_as_changes",
]

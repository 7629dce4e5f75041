"""A lane without Kafka: decides, applies, keeps what was said."""

from datetime import datetime

from processors.cost.prices import PriceBook
from processors.dispatch.decide import decide
from processors.dispatch.decision import Decision, Timer
from processors.dispatch.events import Event, Reported, Routed
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import LaneState
from schemas.calls import CallOrdered, CallReported
from schemas.deployments import DeploymentCatalogue
from schemas.ledger import CostEvent
from schemas.outcomes import InferenceResponse
from schemas.routing import RequestRouted

PRICES = PriceBook.of(DeploymentCatalogue("test", {}, (), {}))


class FakeLane:
    def __init__(self, policy: DispatchPolicy | None = None) -> None:
        self.state = LaneState()
        self.policy = policy or DispatchPolicy()
        self.records: list[CallOrdered | InferenceResponse | CostEvent] = []
        self.timers: list[Timer] = []

    def on(self, event: Event | RequestRouted | CallReported, now: datetime) -> Decision:
        if isinstance(event, RequestRouted):
            event = Routed(event, b"")
        elif isinstance(event, CallReported):
            event = Reported(event)
        decision = decide(self.state, event, now=now, policy=self.policy, prices=PRICES)
        for change in decision.changes:
            self.state.apply(change)
        self.records += decision.records
        self.timers += decision.timers
        return decision

    def run_timers(self, now: datetime) -> None:
        """Fire everything that is due, as the shell does, until nothing is."""
        while due := [timer for timer in self.timers if timer.due <= now]:
            for timer in due:
                self.timers.remove(timer)
                self.on(timer.event, now)

    @property
    def orders(self) -> list[CallOrdered]:
        return [record for record in self.records if isinstance(record, CallOrdered)]

    @property
    def responses(self) -> list[InferenceResponse]:
        return [record for record in self.records if isinstance(record, InferenceResponse)]

    @property
    def finals(self) -> list[InferenceResponse]:
        return [response for response in self.responses if response.final]

    @property
    def costs(self) -> list[CostEvent]:
        return [record for record in self.records if isinstance(record, CostEvent)]
